// Real applications behind linkpush, with nothing changed in them: `make test-applications`.
//
//   node tests/applications/run.js LINKPUSH [FOLDER...]
//
// Builds each application in target/applications (once), starts it, and puts linkpush in front with `learn: on`. Shows for
// each of its pages that
// - a 103 comes with the visit after those which the rule of privacy wants, and not before;
// - it names all that Chromium says blocks the page's rendering;
// - Chromium and Firefox ask for each hinted asset once, before the document is let go, and for nothing that they do not
//   ask for with `push: off`.
// A failure names application, browser and asset. An application that cannot be built here is left out, and said to be.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { applications, missing, build } = require('./support/applications.js');
const { openChromium, openFirefox, hints } = require('./support/browsers.js');
const { certify, edge, leave, relay, listen } = require('./support/edge.js');
const { stopAll, freePort } = require('./support/processes.js');
const { Recorder } = require('./support/recorder.js');

/** A page is at rest when nothing has been asked for this long, in milliseconds. */
const QUIET = 700;
/** How often a browser that dropped the 103 is asked again: Chromium drops one now and then, of other servers too. */
const TRIES = 5;

/** What browsers ask for by themselves. */
const isOwn = (asset) => asset !== '/favicon.ico';
const sorted = (assets) => [...assets].filter(isOwn).sort();

/** The assets that stand in `left` more often than in `right`. */
function surplus(left, right) {
  const rest = [...right];
  return left.filter((asset) => {
    const at = rest.indexOf(asset);
    if (at >= 0) {
      rest.splice(at, 1);
    }
    return at < 0;
  });
}

/** An application with one linkpush that learns, and one that delivers nothing. */
class Site {
  static async start(program, work, application, folder) {
    const port = await freePort();
    await application.start(folder, port, `${work}/${application.folder}.log`);
    const site = new Site();
    site.recorder = new Recorder(port);
    const origin = await listen(site.recorder.server);
    site.certificate = `${work}/certificate.pem`;
    const route = (rest) => `  - { name: pages, upstream: app, cache: off, ${rest} }`;
    site.off = await site.#front(program, work, origin, route('push: off'), `${application.folder}-off`);
    site.learning = await site.#front(program, work, origin, route('push: auto, learn: on'), `${application.folder}-on`);
    return site;
  }

  async #front(program, work, origin, routes, name) {
    const front = await edge(program, work, origin, routes, name);
    const line = relay(front.port);
    return { edge: front, line, address: `https://127.0.0.1:${await listen(line)}` };
  }

  /** Visits a page as somebody new; returns what the browser tells, what was asked for, and how much of that early. */
  async visit(browser, front, page, options) {
    front.line.visitor += 1;
    this.recorder.begin(options);
    const seen = await browser.visit(front.address + page.path, () => this.recorder.quiet(QUIET));
    return { ...seen, assets: this.recorder.assets, early: this.recorder.assets.slice(0, this.recorder.early ?? 0) };
  }

  /** The 103 that the browser of the last visit would get, were it somebody new. */
  async hints(page) {
    this.learning.line.visitor += 1;
    this.recorder.begin();
    return hints(this.certificate, this.learning.address + page.path, this.recorder.navigation);
  }

  stop() {
    leave(this.off.edge);
    leave(this.learning.edge);
  }
}

/** What is wrong with a page, as lines; prints what was seen. */
async function examine(site, application, page, browsers) {
  const wrong = [];
  const expect = (holds, text) => holds || wrong.push(`${application.name} ${page.path}: ${text}`);
  const [chromium] = browsers;
  const without = new Map();
  for (const browser of browsers) {
    without.set(browser, await site.visit(browser, site.off, page));
  }
  const { blocking, text } = without.get(chromium);
  expect(text > 0, 'the page shows nothing');
  expect(blocking.length > 0, 'nothing blocks its rendering: it shows nothing about hints');

  for (let visitor = 1; visitor <= page.visitors; visitor += 1) {
    const seen = await site.visit(chromium, site.learning, page);
    expect(seen.interim === 0, `Chromium, visitor ${visitor} of ${page.visitors}: a 103 before enough visitors had the page`);
  }

  const cells = [];
  let links;
  for (const browser of browsers) {
    const plain = without.get(browser);
    const say = (text) => wrong.push(`${application.name} ${page.path}, ${browser.name}: ${text}`);
    // What Chromium taught holds for Firefox, unless the application's Vary tells the two apart.
    for (let visitor = 0; browser !== chromium && page.divided && visitor < page.visitors; visitor += 1) {
      await site.visit(browser, site.learning, page);
    }
    const known = await site.hints(page);
    const { paths } = known;
    links ??= known.links;
    if (known.links.length === 0) {
      say(`no 103 after ${page.visitors} visitors`);
    }
    for (const asset of blocking.filter((asset) => !paths.includes(asset))) {
      say(`the 103 lacks ${asset}, which blocks rendering`);
    }
    let seen;
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      seen = await site.visit(browser, site.learning, page, { awaited: paths });
      if (seen.early.length > 0) {
        break;
      }
    }
    for (const asset of surplus(paths, seen.early)) {
      say(`${asset} is hinted, and not asked for before the document came`);
    }
    for (const asset of surplus(sorted(seen.assets), sorted(plain.assets))) {
      const is_known = plain.assets.includes(asset);
      say(is_known ? `${asset} is fetched more often than with push: off` : `${asset} is fetched, and not with push: off`);
    }
    for (const asset of surplus(sorted(plain.assets), sorted(seen.assets))) {
      say(`${asset} is not fetched, but with push: off`);
    }
    cells.push(`${browser.name} ${paths.filter((asset) => seen.early.includes(asset)).length}`);
  }
  const after = page.visitors === 1 ? 'visit 2' : `visit ${page.visitors + 1}, of ${page.visitors + 1} visitors`;
  console.log(`  ${application.name} ${page.path}: ${after} hints ${links.length} (${blocking.length} block rendering); asked for early: ${cells.join(', ')}`);
  return wrong;
}

async function main() {
  const [program, ...only] = process.argv.slice(2);
  const target = path.join(process.env.CARGO_TARGET_DIR ?? 'target', 'applications');
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'linkpush-'));
  process.once('exit', () => fs.rmSync(work, { recursive: true, force: true }));
  certify(work);
  const browsers = [await openChromium(`${work}/certificate.pem`), await openFirefox()];
  const wrong = [];
  try {
    for (const application of applications.filter(({ folder }) => only.length === 0 || only.includes(folder))) {
      const cause = missing(application);
      if (cause) {
        console.log(`  ${application.name}: SKIPPED, for want of ${cause}`);
        continue;
      }
      let site;
      try {
        site = await Site.start(program, work, application, await build(application, target));
        for (const page of application.pages) {
          wrong.push(...(await examine(site, application, page, browsers)));
        }
      } catch (error) {
        wrong.push(`${application.name}: ${error.stack}`);
      }
      site?.stop();
      await stopAll();
    }
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
  }
  for (const line of wrong) {
    console.error(`applications: ${line}`);
  }
  return wrong.length === 0 ? 0 : 1;
}

process.once('SIGINT', () => stopAll().then(() => process.exit(130)));
process.once('SIGTERM', () => stopAll().then(() => process.exit(143)));
main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error);
    return stopAll().then(() => process.exit(1));
  },
);
