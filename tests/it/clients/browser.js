// Loads a page once in a browser with an empty profile: node browser.js CERTIFICATE URL [FLAG...]
// Prints what visit() of chromium.js returns.
'use strict';

const { launch, visit } = require('./chromium.js');

const [certificate, url, ...flags] = process.argv.slice(2);

(async () => {
  const browser = await launch(certificate, flags);
  try {
    console.log(JSON.stringify(await visit(browser, url)));
  } finally {
    await browser.close();
  }
})();
