// Sessions of Node's HTTP/2 client with documents that promise at the same time:
//   node sessions.js ORIGIN DOCUMENTS HOW SESSIONS SEED [MOST [PARALLEL]]
// DOCUMENTS is a file of paths, one a line; a session asks for 1 to MOST of them at once. HOW is one of
//   take      takes every push, and closes when all is there
//   close     closes when its documents are there: GOAWAY, while pushes are under way
//   swallow   has no listener: pushes flow into nothing; closes when its documents are there
//   destroy   ends the connection at a random moment
//   leave     closes at a random moment. Node takes a response to a promise that it ignored after its GOAWAY for an error,
//             and ends: documents may be missing then, whoever serves them.
//   mixed     any of these
// Prints a line for each session that failed, and { sessions, documents, pushes } at the end.
'use strict';

const fs = require('node:fs');
const http2 = require('node:http2');
const { receive } = require('./client.js');

const DEADLINE = 15_000;
// How long a session that was closed may take to end. No session is destroyed but for what that does to the server: Node
// 20 corrupts its memory when a session with open pushes is destroyed that was closed, or had no listener.
const LEAVING = 500;
const [origin, file, how, sessions, seed, most = '8', parallel = '2'] = process.argv.slice(2);
const paths = fs.readFileSync(file, 'utf8').trim().split('\n');
const seen = { sessions: 0, documents: 0, pushes: 0 };

/** A function of random whole numbers below its argument: xorshift, 32 bits (Marsaglia 2003). */
function generator(state) {
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const bodies = new Map();

/** What the origin has at a path: its lines are numbered, and cut at the length that the path ends in. */
function expected(path) {
  let body = bodies.get(path);
  if (!body) {
    const length = Number(path.slice(path.lastIndexOf('-') + 1));
    let text = '';
    for (let n = 0; text.length < length; n += 1) {
      text += `${path} ${n}\n`;
    }
    body = Buffer.from(text.slice(0, length));
    bodies.set(path, body);
  }
  return body;
}

function check(path, { headers, body }) {
  if (headers?.[':status'] !== 200) {
    throw new Error(`${path}: status ${headers?.[':status']}`);
  }
  if (!body.equals(expected(path))) {
    throw new Error(`${path}: ${body.length} bytes that are not the origin's`);
  }
}

/** The targets of a Link header. */
function targets(link) {
  return [...(link ?? '').matchAll(/<([^>]*)>/g)].map((match) => match[1]);
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function session(way, random) {
  const chosen = new Set();
  const count = 1 + random(Number(most));
  while (chosen.size < count) {
    chosen.add(paths[random(paths.length)]);
  }
  const client = http2.connect(origin);
  const pushes = new Map();
  let [last, leaving] = [0, false];
  const failed = new Promise((_, reject) => {
    client.on('error', (error) => leaving || reject(error));
    client.on('goaway', (code) => code === 0 || leaving || reject(new Error(`GOAWAY ${code}`)));
    if (way !== 'swallow') {
      client.on('stream', (stream, request) => {
        const path = request[':path'];
        if (stream.id % 2 !== 0 || stream.id <= last) {
          reject(new Error(`promise ${stream.id} after ${last}`));
        }
        if (pushes.has(path)) {
          reject(new Error(`${path} is pushed twice`));
        }
        last = stream.id;
        const push = receive(stream, 'push');
        push.catch(() => {});
        pushes.set(path, push);
      });
    }
  });
  failed.catch(() => {});
  let late;
  const deadline = new Promise((_, reject) => {
    late = setTimeout(() => reject(new Error(`not done after ${DEADLINE} ms`)), DEADLINE);
  });
  const must = (promise) => Promise.race([promise, failed, deadline]);
  try {
    await must(new Promise((resolve) => client.once('connect', resolve)));
    const answers = [...chosen].map((path) => {
      const answer = receive(client.request({ ':path': path }), 'response');
      answer.catch(() => {});
      return answer;
    });
    if (way === 'destroy') {
      await must(pause(random(60)));
      leaving = true;
      client.destroy();
      return;
    }
    if (way === 'leave') {
      await must(pause(random(40)));
      leaving = true;
      client.close();
      const settled = await must(Promise.race([Promise.allSettled(answers), pause(LEAVING).then(() => [])]));
      settled.forEach(({ value }, n) => value && check([...chosen][n], value));
      seen.documents += settled.filter(({ value }) => value).length;
      return;
    }
    const documents = await must(Promise.all(answers));
    seen.documents += documents.length;
    const closed = new Promise((resolve) => client.once('close', resolve));
    if (way === 'close' || way === 'swallow') {
      client.close();
    }
    const named = new Set();
    [...chosen].forEach((path, n) => {
      check(path, documents[n]);
      targets(documents[n].headers.link).forEach((target) => named.add(target));
    });
    if (way === 'take') {
      const missing = [...named].filter((path) => !pushes.has(path));
      const more = [...pushes.keys()].filter((path) => !named.has(path));
      if (missing.length + more.length > 0) {
        throw new Error(`named, not promised: [${missing}]; promised, not named: [${more}]; last promise ${last}`);
      }
      for (const [path, push] of pushes) {
        check(path, await must(push));
      }
      client.close();
      await must(closed);
    }
    if (way === 'close' || way === 'swallow') {
      await must(Promise.race([closed, pause(LEAVING)]));
    }
    seen.pushes += pushes.size;
  } finally {
    leaving = true;
    clearTimeout(late);
  }
}

// Nobody hears of the end of a push that nobody listens to; every other stream has a listener for its errors.
process.on('uncaughtException', (error) => {
  if (error.code !== 'ERR_HTTP2_STREAM_ERROR') {
    console.error(error);
    process.exit(1);
  }
});

(async () => {
  const ways = how === 'mixed' ? ['take', 'close', 'swallow', 'destroy', 'leave'] : [how];
  let begun = 0;
  const worker = async () => {
    while (begun < Number(sessions)) {
      begun += 1;
      const number = begun;
      const random = generator(Number(seed) * 100_003 + number);
      for (let n = 0; n < 8; n += 1) {
        random(2);
      }
      const way = ways[random(ways.length)];
      try {
        await session(way, random);
      } catch (error) {
        console.log(`failed: node ${way}, seed ${seed}, session ${number}: ${error.message}`);
      }
      seen.sessions += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(parallel) }, worker));
  console.log(JSON.stringify(seen));
  process.exit(0);
})();
