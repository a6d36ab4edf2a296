// What the scripts of this folder share: a connection, a request, an answer.
'use strict';

const http2 = require('node:http2');

/** Connects; whatever goes wrong with the connection ends the script with an error. */
function connect(origin) {
  const session = http2.connect(origin);
  session.on('error', fail);
  session.on('goaway', (code) => code === 0 || fail(new Error(`GOAWAY ${code}`)));
  return session;
}

/** Collects the answer on a stream; `event` brings its header. */
function receive(stream, event, answer = {}) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    stream.on(event, (headers) => (answer.headers = headers));
    stream.on('trailers', (trailers) => (answer.trailers = trailers));
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => resolve({ ...answer, body: Buffer.concat(chunks) }));
    stream.on('error', reject);
  });
}

/** Asks for a path and collects the answer. */
function fetch(session, path) {
  return receive(session.request({ ':path': path }), 'response');
}

/** Resolves when the server has answered a PING: it has read all that was sent before. */
function settle(session) {
  return new Promise((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
}

/** An answer with the length and the 32-bit FNV-1a hash of its body in the body's place. */
function digest({ body, ...answer }) {
  let hash = 0x811c9dc5;
  for (const byte of body) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return { ...answer, length: body.length, hash: hash >>> 0 };
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

process.on('unhandledRejection', fail);

module.exports = { connect, digest, fetch, receive, settle };
