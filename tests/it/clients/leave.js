// Leaves right after asking: node leave.js ORIGIN close|destroy|close-later|destroy-later SESSIONS PATH...
// Each session asks for all paths and is then closed or destroyed: at once, or within the next milliseconds. Ten are open
// at a time. Prints how many answers were complete, and which errors there were.
'use strict';

const http2 = require('node:http2');

const [origin, way, sessions, ...paths] = process.argv.slice(2);
const [act, later] = way.split('-');
const seen = { sessions: 0, answers: 0, errors: [] };

function leave(number) {
  return new Promise((resolve) => {
    const session = http2.connect(origin);
    const failed = (error) => seen.errors.push(error.code ?? error.message);
    session.on('error', failed);
    session.on('stream', (pushed) => {
      pushed.on('error', () => {});
      pushed.resume();
    });
    session.on('close', resolve);
    session.on('connect', () => {
      for (const path of paths) {
        const stream = session.request({ ':path': path });
        let status;
        stream.on('response', (headers) => (status = headers[':status']));
        stream.on('error', failed);
        stream.on('end', () => (seen.answers += status === 200));
        stream.resume();
      }
      if (later) {
        setTimeout(() => session[act](), number % 8);
      } else {
        session[act]();
      }
    });
  });
}

(async () => {
  let next = 0;
  const work = async () => {
    while (next < Number(sessions)) {
      await leave(next++);
      seen.sessions += 1;
    }
  };
  await Promise.all(Array.from({ length: 10 }, work));
  console.log(JSON.stringify(seen));
})();
