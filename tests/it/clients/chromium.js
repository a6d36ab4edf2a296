// Headless Chromium (Debian's), and what it makes of a page: for browser.js, and for benches/browser.js.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const { chromium } = require('playwright-core');

/**
 * Starts a browser that trusts the key of one certificate, a PEM file. Not `--ignore-certificate-errors`: what comes
 * with an error that is ignored is not kept in the cache, and hints that cannot be kept are fetched twice.
 */
function launch(certificate, args = []) {
  const key = new crypto.X509Certificate(fs.readFileSync(certificate)).publicKey;
  const hash = crypto.createHash('sha256').update(key.export({ type: 'spki', format: 'der' })).digest('base64');
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-proxy-server',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      `--ignore-certificate-errors-spki-list=${hash}`,
      ...args,
    ],
  });
}

/**
 * Loads a page in a new profile: no cache, no connection, no cookie. Times are in milliseconds since the navigation
 * began, as the browser tells them to the page; `requests`, `hints` (the fields of
 * each 103) and `hinted` (what a 103 brought) are what DevTools saw.
 *
 * `final` is when the header of the page itself came: responseStart is when the first header came, the 103's if there
 * was one. That of a hinted asset is when the page came to use it, which is no earlier than the page.
 */
async function visit(browser, url) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    const [requests, hints, hinted] = [[], [], []];
    devtools.on('Network.requestWillBeSent', ({ request }) => requests.push(new URL(request.url).pathname));
    devtools.on('Network.responseReceivedEarlyHints', ({ headers }) => hints.push(headers));
    devtools.on('Network.responseReceived', ({ response }) => {
      if (response.fromEarlyHints) {
        hinted.push(new URL(response.url).pathname);
      }
    });
    await devtools.send('Network.enable');
    await page.goto(url, { waitUntil: 'load' });
    return { ...(await page.evaluate(measure)), requests, hints, hinted };
  } finally {
    await context.close();
  }
}

/** Runs in the page, after its load event has begun. */
async function measure() {
  const navigation = performance.getEntriesByType('navigation')[0];
  while (navigation.loadEventEnd === 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  const largest = await new Promise((resolve) => {
    // Every candidate so far: the last is the largest. A page that shows nothing has none.
    new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime)).observe({
      type: 'largest-contentful-paint',
      buffered: true,
    });
    setTimeout(() => resolve(null), 3000);
  });
  const resources = performance.getEntriesByType('resource').map((entry) => ({
    path: new URL(entry.name).pathname,
    initiator: entry.initiatorType,
    start: entry.startTime,
    end: entry.responseEnd,
    size: entry.transferSize,
  }));
  return {
    protocol: navigation.nextHopProtocol,
    interim: navigation.firstInterimResponseStart,
    final: navigation.finalResponseHeadersStart,
    load: navigation.loadEventEnd,
    largest,
    resources,
    styled: getComputedStyle(document.body).color,
    ran: globalThis.ran ?? 0,
  };
}

module.exports = { launch, visit };
