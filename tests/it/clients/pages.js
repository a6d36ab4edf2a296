// Loads pages in one browser: node pages.js BROWSER CERTIFICATE PORT
// BROWSER is chromium or firefox (Debian's firefox-esr). Every host is at PORT of this machine.
//
// Each line of standard input is { id, url }: a page that is loaded in an empty profile of its own. For each there is a line
// of output: { id }, with what measure() tells, or with an error. Lines may come while earlier ones are at work, so many
// pages load at a time. The browser ends with the input.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const puppeteer = require('puppeteer-core');
const { launch } = require('./chromium.js');

const [browser, certificate, port] = process.argv.slice(2);
const FIREFOX = '/usr/bin/firefox-esr';
// For starts and loads: a busy machine is no bug.
const PATIENCE = 100_000;

/** A browser; both drivers have the same names for what is done here, but for a new profile. */
async function start() {
  if (browser === 'chromium') {
    const chromium = await launch(certificate, [`--host-resolver-rules=MAP * 127.0.0.1:${port}`]);
    return { profile: () => chromium.newContext(), close: () => chromium.close() };
  }
  if (!fs.existsSync(FIREFOX)) {
    throw new Error(`${FIREFOX} is missing, which tests/support/install.sh test installs`);
  }
  const firefox = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    acceptInsecureCerts: true,
    timeout: PATIENCE,
    protocolTimeout: PATIENCE,
    extraPrefsFirefox: {
      'network.http.http3.enable': false,
      'network.proxy.type': 0,
      'network.dns.forceResolve': '127.0.0.1',
      'network.socket.forcePort': `443=${port}`,
    },
  });
  return { profile: () => firefox.createBrowserContext(), close: () => firefox.close() };
}

/** Firefox loses tabs that are opened while others are closed: so one after the other. */
let turn = Promise.resolve();
function inTurn(act) {
  const done = turn.then(act);
  turn = done.catch(() => {});
  return done;
}

async function load(profile, url) {
  const page = await inTurn(() => profile.newPage());
  try {
    page.setDefaultTimeout(PATIENCE);
    page.setDefaultNavigationTimeout(PATIENCE);
    await page.goto(url, { waitUntil: 'load' });
    return await page.evaluate(measure);
  } finally {
    await inTurn(() => page.close());
  }
}

/**
 * Runs in the page: the protocol that brought it, and when its load event had ended, in milliseconds since the navigation
 * began. Fonts, and what the page's own script fetches, are waited for.
 */
async function measure() {
  const navigation = performance.getEntriesByType('navigation')[0];
  while (navigation.loadEventEnd === 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  await document.fonts.ready;
  await globalThis.fetched;
  return { protocol: navigation.nextHopProtocol, load: navigation.loadEventEnd };
}

async function work({ profile }, { id, url }) {
  try {
    const own = await inTurn(profile);
    try {
      return { id, ...(await load(own, url)) };
    } finally {
      await inTurn(() => own.close());
    }
  } catch (error) {
    return { id, error: String(error) };
  }
}

(async () => {
  const running = await start();
  try {
    const at = [];
    for await (const line of readline.createInterface({ input: process.stdin })) {
      at.push(work(running, JSON.parse(line)).then((result) => console.log(JSON.stringify(result))));
    }
    await Promise.all(at);
  } finally {
    await running.close();
  }
})();
