// Switches ENABLE_PUSH off and on again on a live connection: node settings.js ORIGIN PATH PATH PATH
// Fetches one path in each state, and prints the paths promised with each.
'use strict';

const { connect, fetch, receive } = require('./client.js');

const [origin, ...paths] = process.argv.slice(2);
const session = connect(origin);
let promised = [];
session.on('stream', (stream, request) => {
  promised.push(request[':path']);
  return receive(stream, 'push');
});

/** Resolves when the server has acknowledged the setting. */
function enablePush(enabled) {
  return new Promise((resolve, reject) =>
    session.settings({ enablePush: enabled }, (error) => (error ? reject(error) : resolve())),
  );
}

(async () => {
  const seen = [];
  for (const [index, path] of paths.entries()) {
    await enablePush(index % 2 === 0);
    await fetch(session, path);
    seen.push(promised);
    promised = [];
  }
  console.log(JSON.stringify(seen));
  session.close();
})();
