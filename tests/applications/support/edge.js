// linkpush with TLS in front of an application, and the line between it and a browser: for run.js and benches/browser.js.
'use strict';

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');

/** Makes a certificate for 127.0.0.1 and its key in a folder. */
function certify(folder) {
  execFileSync('openssl', [
    ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost'.split(' '),
    ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-keyout', `${folder}/key.pem`, '-out', `${folder}/certificate.pem`],
  ], { stdio: 'ignore' });
}

/** Starts linkpush with a certified folder's files; `routes` is YAML. Resolves with the process and its port. */
function edge(program, folder, originPort, routes, name = 'edge') {
  fs.writeFileSync(`${folder}/${name}.yaml`, `
listeners: [{ address: 127.0.0.1:0, tls: { certificates: [{ cert: certificate.pem, key: key.pem }] } }]
upstreams: { app: { servers: ['127.0.0.1:${originPort}'] } }
routes:
${routes}
`);
  const child = spawn(program, ['run', '--config', `${folder}/${name}.yaml`], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, RUST_LOG: 'info' },
  });
  return new Promise((resolve, reject) => {
    const log = [];
    child.on('error', reject);
    child.on('exit', () => reject(new Error(log.join(''))));
    child.stderr.on('data', (text) => {
      log.push(text.toString());
      const port = /listening on 127\.0\.0\.1:(\d+)\s/.exec(log.join(''))?.[1];
      if (port) {
        resolve({ child, port: Number(port), log });
      }
    });
  });
}

/** Ends an edge. */
function leave({ child }) {
  child.removeAllListeners('exit');
  child.kill('SIGINT');
}

/**
 * Passes bytes on half a round trip later, the client's first ones after a round trip for TCP's own handshake. Clients
 * come from the loopback network that `visitor` numbers: 127.0.VISITOR.1.
 */
function relay(port, roundTrip = 0) {
  const line = net.createServer({ noDelay: true }, (client) => {
    const server = net.connect({ host: '127.0.0.1', port, noDelay: true, localAddress: `127.0.${line.visitor}.1` });
    const open = performance.now() + roundTrip;
    const pass = (from, to, opened) => {
      const later = (act) =>
        roundTrip === 0 ? act() : setTimeout(act, Math.max(0, opened - performance.now()) + roundTrip / 2);
      from.on('data', (bytes) => later(() => to.destroyed || to.write(bytes)));
      from.on('close', () => later(() => to.end()));
      from.on('error', () => to.destroy());
    };
    pass(client, server, open);
    pass(server, client, 0);
  });
  line.visitor = 0;
  return line;
}

function listen(server) {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
}

module.exports = { certify, edge, leave, relay, listen };
