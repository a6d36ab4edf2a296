// What a browser loads, sends and gives up over one connection: node transfers.js BROWSER CERTIFICATE ORIGIN
// BROWSER is chromium or firefox (Debian's firefox-esr). The page at / is loaded, then a download, an upload, many small
// responses at a time, and two downloads that never end and are left.
// Prints { page, download, upload, small, left, again }.
'use strict';

const puppeteer = require('puppeteer-core');
const { launch } = require('./chromium.js');

const [browser, certificate, origin] = process.argv.slice(2);
const SMALL = 200;
// For how long a navigation that never ends is under way.
const UNDER_WAY = 300;
const PATIENCE = 100_000;

/** A page of a browser with an empty profile, and what closes it. */
async function open() {
  if (browser === 'chromium') {
    const chromium = await launch(certificate);
    return [await chromium.newPage(), () => chromium.close()];
  }
  const firefox = await puppeteer.launch({
    browser: 'firefox',
    executablePath: '/usr/bin/firefox-esr',
    acceptInsecureCerts: true,
    timeout: PATIENCE,
    protocolTimeout: PATIENCE,
    extraPrefsFirefox: { 'network.http.http3.enable': false, 'network.proxy.type': 0 },
  });
  return [await firefox.newPage(), () => firefox.close()];
}

/** Runs in the page. */
function look() {
  return {
    protocol: performance.getEntriesByType('navigation')[0].nextHopProtocol,
    styled: getComputedStyle(document.body).color,
    ran: globalThis.ran ?? 0,
    width: document.querySelector('img').naturalWidth,
  };
}

/** Runs in the page: the length and the 32-bit FNV-1a hash of a body. */
async function download(path) {
  const body = new Uint8Array(await (await fetch(path)).arrayBuffer());
  let hash = 0x811c9dc5;
  for (let at = 0; at < body.length; at += 1) {
    hash = Math.imul(hash ^ body[at], 0x01000193);
  }
  return { length: body.length, hash: hash >>> 0 };
}

/** Runs in the page: sends bytes that look random (xorshift, 32 bits). */
async function upload({ path, length, seed }) {
  const body = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    body[at] = state >>> 24;
  }
  const answer = await fetch(path, { method: 'POST', body });
  return { status: answer.status, text: await answer.text() };
}

/** Runs in the page: how many of so many responses are their own path, and over which protocols they came. */
async function small(count) {
  performance.setResourceTimingBufferSize(2 * count);
  const paths = Array.from({ length: count }, (_, n) => `/small/${n}`);
  const texts = await Promise.all(paths.map(async (path) => (await fetch(path)).text()));
  const entries = performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/small/'));
  return {
    right: texts.filter((text, n) => text === paths[n]).length,
    protocols: [...new Set(entries.map((entry) => entry.nextHopProtocol))],
  };
}

/** Runs in the page: leaves a download after its first bytes. */
async function leave(path) {
  const control = new AbortController();
  const answer = await fetch(path, { signal: control.signal });
  const { value } = await answer.body.getReader().read();
  control.abort();
  return value.length > 0;
}

(async () => {
  const [page, close] = await open();
  // A busy machine is no bug.
  page.setDefaultTimeout(PATIENCE);
  page.setDefaultNavigationTimeout(PATIENCE);
  try {
    const seen = {};
    await page.goto(`${origin}/`, { waitUntil: 'load' });
    seen.page = await page.evaluate(look);
    seen.download = await page.evaluate(download, '/download');
    seen.upload = await page.evaluate(upload, { path: '/upload', length: 5_000_000, seed: 5 });
    seen.small = await page.evaluate(small, SMALL);
    seen.left = await page.evaluate(leave, '/endless');
    await page.evaluate(() => {
      location.href = '/endless-page';
    });
    await new Promise((resolve) => setTimeout(resolve, UNDER_WAY));
    await page.goto(`${origin}/?again`, { waitUntil: 'load' });
    seen.again = await page.evaluate(look);
    console.log(JSON.stringify(seen));
  } finally {
    await close();
  }
})();
