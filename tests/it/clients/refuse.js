// Cancels every push: node refuse.js ORIGIN PATH...
// Fetches the paths one after another, and prints how many promises came with each.
'use strict';

const { constants } = require('node:http2');
const { connect, fetch, settle } = require('./client.js');

const [origin, ...paths] = process.argv.slice(2);
const session = connect(origin);
let promises = 0;
session.on('stream', (stream) => {
  promises += 1;
  stream.on('error', () => {});
  stream.close(constants.NGHTTP2_CANCEL);
});

(async () => {
  const seen = [];
  for (const path of paths) {
    const page = await fetch(session, path);
    seen.push({ promises, status: page.headers[':status'], body: page.body.toString() });
    promises = 0;
    await settle(session);
  }
  console.log(JSON.stringify(seen));
  session.close();
})();
