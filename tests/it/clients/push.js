// Fetches a page on one connection and takes what is pushed with it: node push.js ORIGIN PATH
// Prints { page, pushes: [answer...] }, the pushes in the order of their promises.
'use strict';

const { connect, digest, fetch, receive } = require('./client.js');

const [origin, path] = process.argv.slice(2);
const session = connect(origin);
const pushes = [];
session.on('stream', (stream, request) => pushes.push(receive(stream, 'push', { request })));

(async () => {
  const page = await fetch(session, path);
  // Every promise comes before the end of its page.
  const answers = await Promise.all(pushes);
  console.log(JSON.stringify({ page: digest(page), pushes: answers.map(digest) }));
  session.close();
})();
