// How long Debian's Chromium takes for pages of real applications behind linkpush, with `push: off` and with `learn: on`:
// a part of `make bench-browser`.
//
//   node benches/applications.js LINKPUSH [LOADS] [FOLDER...]
//
// The applications are those of tests/applications, built there. Cold loads (an empty profile each) take turns, over a
// relay that adds 50 ms of round trip: with the time that the application takes by itself on an idle machine, and with
// 200 ms at least, as of a page with some queries. Prints the medians.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { applications, missing, build } = require('../tests/applications/support/applications.js');
const { certify, edge, leave, relay, listen } = require('../tests/applications/support/edge.js');
const { stopAll, freePort } = require('../tests/applications/support/processes.js');
const { Recorder } = require('../tests/applications/support/recorder.js');
const { launch, visit } = require('../tests/it/clients/chromium.js');
const { median, version } = require('./support/loads.js');

const ROUND_TRIP = 50;
const THINK = [0, 200];
const ROUTES = { off: 'push: off', learned: 'push: auto, learn: on' };

/** Loads a page as often, by each way in turn; returns the loads by think time and way. */
async function measure(program, work, application, folder, browser, loads) {
  const port = await freePort();
  await application.start(folder, port, `${work}/${application.folder}.log`);
  const recorder = new Recorder(port);
  const origin = await listen(recorder.server);
  const ways = [];
  for (const [name, delivery] of Object.entries(ROUTES)) {
    const route = `  - { name: pages, upstream: app, ${delivery} }`;
    const front = await edge(program, work, origin, route, `${application.folder}-${name}`);
    const line = relay(front.port, ROUND_TRIP);
    ways.push({ name, front, line, address: `https://127.0.0.1:${await listen(line)}` });
  }
  try {
    const [{ path: page, visitors }] = application.pages;
    const seen = Object.fromEntries(THINK.map((think) => [think, { off: [], learned: [] }]));
    // The first rounds teach, and warm up browser and application.
    for (let round = -visitors; round < loads; round += 1) {
      for (const think of THINK) {
        // Each goes first in turn.
        for (const way of round % 2 === 0 ? ways : [...ways].reverse()) {
          way.line.visitor = (way.line.visitor % 250) + 1;
          recorder.begin({ think });
          const load = await visit(browser, way.address + page);
          if (round >= 0) {
            seen[think][way.name].push(load);
          }
        }
      }
    }
    return seen;
  } finally {
    ways.forEach(({ front }) => leave(front));
    await stopAll();
  }
}

function print(application, seen) {
  for (const think of THINK) {
    const { off, learned } = seen[think];
    const of = (loads, value) => median(loads.map(value)).toFixed(0);
    const pair = (value) => `${of(off, value)} | ${of(learned, value)}`;
    const used = learned.filter((load) => load.hinted.length > 0).length;
    const cells = [
      application.name,
      think === 0 ? 'its own' : `${think}`,
      of(off, (load) => load.final),
      pair((load) => load.largest ?? NaN),
      pair((load) => load.load),
      `${used} of ${learned.length}`,
      // Chromium asks for a favicon by itself, now and then after the page is left.
      pair((load) => load.requests.filter((asset) => asset !== '/favicon.ico').length),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

(async () => {
  const [program, ...rest] = process.argv.slice(2);
  const loads = /^\d+$/.test(rest[0] ?? '') ? Number(rest.shift()) : 11;
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'linkpush-'));
  const target = path.join(process.env.CARGO_TARGET_DIR ?? 'target', 'applications');
  let browser;
  let failed = false;
  try {
    certify(work);
    browser = await launch(`${work}/certificate.pem`);
    console.log(`\n${version()}; ${ROUND_TRIP} ms round trip; medians of ${loads} cold loads each, in ms\n`);
    console.log('| application | think time | page header | LCP, push off | LCP, learned | load, push off | load, learned | 103 used | requests, off | learned |');
    console.log('|---|---|--:|--:|--:|--:|--:|--:|--:|--:|');
    for (const application of applications.filter(({ folder }) => rest.length === 0 || rest.includes(folder))) {
      const cause = missing(application);
      if (cause) {
        console.log(`| ${application.name} | left out, for want of ${cause} |`);
        continue;
      }
      print(application, await measure(program, work, application, await build(application, target), browser, loads));
    }
  } catch (error) {
    console.error(error);
    failed = true;
  } finally {
    await browser?.close();
    await stopAll();
    fs.rmSync(work, { recursive: true, force: true });
  }
  process.exit(failed ? 1 : 0);
})();
