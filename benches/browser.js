// How long Debian's Chromium takes for a page behind linkpush, with and without learning: `make bench-browser`.
//
//   node benches/browser.js LINKPUSH [LOADS]
//
// Cold loads (an empty profile each) take turns, over a relay that adds 50 ms of round trip, of a page whose origin
// thinks for 200 ms. Prints the medians. All of it runs in this process, linkpush and the browser apart, on 127.0.0.1.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { certify, edge, leave, relay, listen } = require('../tests/applications/support/edge.js');
const { launch, visit } = require('../tests/it/clients/chromium.js');
const { median, version } = require('./support/loads.js');

const ROUND_TRIP = 50;
const THINK = 200;

const filler = (bytes) => 'linkpush '.repeat(bytes / 9);
const page =
  '<!doctype html><link rel=icon href=data:,><link rel=stylesheet href=/style.css><script src=/app.js></script>' +
  '<h1>A page</h1><img src=/hero.svg width=600 height=300>';
const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="300"><rect width="600" height="300" fill="teal"/>';
const assets = {
  '/style.css': ['text/css', `h1 { color: teal }\n/* ${filler(40_000)} */`],
  '/app.js': ['text/javascript', `globalThis.ran = 1;\n// ${filler(60_000)}`],
  '/hero.svg': ['image/svg+xml', `${svg}<!-- ${filler(30_000)} --></svg>`],
};
const links = '</style.css>; rel=preload; as=style, </app.js>; rel=preload; as=script, </hero.svg>; rel=preload; as=image';

const ROUTES = `
  - { name: learned, match: { path: ^/learned }, upstream: app, push: auto, learn: on }
  - { name: rest, upstream: app, push: auto }`;

/** The application: a page that is thought about, and what it links to. */
function origin() {
  return http.createServer((request, response) => {
    const asset = assets[request.url];
    if (asset) {
      response.writeHead(200, { 'content-type': asset[0], 'cache-control': 'max-age=3600' });
      response.end(asset[1]);
      return;
    }
    setTimeout(() => {
      response.writeHead(200, { 'content-type': 'text/html', link: links });
      response.end(page);
    }, THINK);
  });
}

async function measure(program, loads, folder) {
  certify(folder);
  const front = await edge(program, folder, await listen(origin()), ROUTES);
  let browser;
  try {
    const address = `https://127.0.0.1:${await listen(relay(front.port, ROUND_TRIP))}`;
    browser = await launch(`${folder}/certificate.pem`);
    const pages = { 'without learning': '/plain', learned: '/learned' };
    const seen = Object.fromEntries(Object.keys(pages).map((name) => [name, []]));
    // The first round teaches, and warms up the browser.
    for (let round = 0; round <= loads; round += 1) {
      // Each goes first in turn.
      const order = Object.entries(pages);
      for (const [name, path] of round % 2 ? order : order.reverse()) {
        const load = await visit(browser, address + path);
        if (round > 0) {
          seen[name].push(load);
        }
      }
    }
    return seen;
  } finally {
    await browser?.close();
    leave(front);
  }
}

function print(seen) {
  console.log(`${version()}; ${ROUND_TRIP} ms round trip, ${THINK} ms think time; medians of cold loads, in ms\n`);
  console.log('|  | loads | first header | page header | LCP | load | 103 used | requests per load |');
  console.log('|---|---|---|---|---|---|---|---|');
  for (const [name, loads] of Object.entries(seen)) {
    const of = (value) => median(loads.map(value)).toFixed(0);
    const used = loads.filter((load) => load.hinted.length > 0).length;
    const cells = [
      loads.length,
      of((load) => load.interim || load.final),
      of((load) => load.final),
      of((load) => load.largest ?? NaN),
      of((load) => load.load),
      used,
      of((load) => load.requests.length),
    ];
    console.log(`| ${name} | ${cells.join(' | ')} |`);
  }
}

(async () => {
  const [program, loads = '20'] = process.argv.slice(2);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linkpush-'));
  try {
    print(await measure(program, Number(loads), folder));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  process.exit();
})();
