// One visit of a page by a new visitor, in Chromium or Firefox (Debian's), and what of it the browser tells.
'use strict';

const http2 = require('node:http2');
const fs = require('node:fs');
const puppeteer = require('../../it/clients/node_modules/puppeteer-core');
const chromium = require('../../it/clients/chromium.js');

/** How long a busy machine may take, in milliseconds. */
const PATIENCE = 100_000;

/** Chromium: each visit is a new profile of one browser. */
async function openChromium(certificate) {
  const browser = await chromium.launch(certificate);
  return {
    name: 'Chromium',
    async visit(url, settled) {
      const context = await browser.newContext();
      try {
        const page = await context.newPage();
        await page.goto(url, { waitUntil: 'load', timeout: PATIENCE });
        await settled();
        return await page.evaluate(look);
      } finally {
        await context.close();
      }
    },
    close: () => browser.close(),
  };
}

/** Firefox over WebDriver BiDi: each visit is a new browser, since its profiles share a cache. */
async function openFirefox() {
  return {
    name: 'Firefox',
    async visit(url, settled) {
      const browser = await puppeteer.launch({
        browser: 'firefox',
        executablePath: '/usr/bin/firefox-esr',
        acceptInsecureCerts: true,
        timeout: PATIENCE,
        protocolTimeout: PATIENCE,
        extraPrefsFirefox: { 'network.http.http3.enable': false, 'network.proxy.type': 0 },
      });
      try {
        const page = await browser.newPage();
        await page.goto(url, { waitUntil: 'load', timeout: PATIENCE });
        await settled();
        return await page.evaluate(look);
      } finally {
        await browser.close();
      }
    },
    close: async () => {},
  };
}

/** Runs in the page: the resources that it used, and which of them blocked its rendering (Chromium tells). */
function look() {
  const navigation = performance.getEntriesByType('navigation')[0];
  const resources = performance.getEntriesByType('resource');
  const path = ({ name }) => new URL(name).pathname + new URL(name).search;
  const own = resources.filter(({ name }) => new URL(name).origin === location.origin);
  return {
    /** When a 103 came; 0 if none did (Chromium tells). */
    interim: navigation.firstInterimResponseStart,
    text: document.body.innerText.length,
    used: own.map(path),
    blocking: own.filter((entry) => entry.renderBlockingStatus === 'blocking').map(path),
  };
}

/**
 * Navigates as a browser did, whose fields these are, over HTTP/2 without pushes; resolves with the paths that a 103 names,
 * and the links. Where the application's Vary names `Accept`, each browser has a document of its own.
 */
function hints(certificate, url, fields) {
  return new Promise((resolve, reject) => {
    const session = http2.connect(new URL(url).origin, { ca: fs.readFileSync(certificate), settings: { enablePush: false } });
    session.setTimeout(PATIENCE, () => session.destroy(new Error('no response')));
    session.on('error', reject);
    const request = session.request({
      ':path': new URL(url).pathname,
      ...Object.fromEntries(REPEATED.filter((name) => name in fields).map((name) => [name, fields[name]])),
      'sec-fetch-dest': 'document',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-site': 'none',
    });
    const links = [];
    request.on('headers', ({ link }) => links.push(...(link ?? '').split(/,\s*(?=<)/).filter(Boolean)));
    request.on('error', reject);
    request.on('end', () => {
      session.close();
      const target = (link) => new URL(/<([^>]*)>/.exec(link)[1], url);
      const own = links.map(target).filter(({ origin }) => origin === new URL(url).origin);
      resolve({ links, paths: own.map(({ pathname, search }) => pathname + search) });
    });
    request.resume();
  });
}

/** Fields by which applications may tell browsers apart. */
const REPEATED = ['accept', 'accept-encoding', 'accept-language', 'user-agent'];

module.exports = { openChromium, openFirefox, hints };
