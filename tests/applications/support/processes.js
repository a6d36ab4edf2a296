// Commands that end, servers that run until they are stopped, and free ports: for applications and what stands before them.
'use strict';

const { execFile, spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');

/** How long a build step may take, and how long a server may take to listen, in milliseconds. */
const BUILD = 600_000;
const START = 60_000;
/** How long a server that is told to end has before it is killed. */
const LEAVE = 5_000;

// Debian's servers are there, and not in every user's PATH.
const searched = `${process.env.PATH}:/usr/sbin:/sbin`;

const environment = (more) => ({ ...process.env, PATH: searched, ...more });

/** Runs a command to its end; resolves with what it printed, rejects with the last lines of it. */
function run(command, args, { cwd, env } = {}) {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: environment(env), timeout: BUILD, maxBuffer: 64 << 20 };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error) {
        const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-15).join('\n');
        reject(new Error(`${[command, ...args].join(' ')}: ${error.code ?? error.signal}\n${said}`));
      } else {
        resolve(stdout);
      }
    });
    child.stdin.end();
  });
}

/** Whether a command is in PATH, or a file is there. */
function present(name) {
  return name.startsWith('/') ? fs.existsSync(name) : searched.split(':').some((folder) => fs.existsSync(`${folder}/${name}`));
}

const running = new Set();

/** Starts a server that writes to a log file, and waits until `ready` holds (asked again and again). */
async function serve(command, args, { cwd, env, log, ready }) {
  const output = fs.openSync(log, 'a');
  const child = spawn(command, args, { cwd, env: environment(env), stdio: ['ignore', output, output] });
  fs.closeSync(output);
  const server = { child, ended: new Promise((resolve) => child.once('close', resolve)) };
  running.add(server);
  child.once('error', (error) => fs.appendFileSync(log, `${error}\n`));
  const deadline = Date.now() + START;
  while (!(await ready())) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop(server);
      throw new Error(`${command} does not listen: ${tail(log)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return server;
}

/** The last lines of a log. */
function tail(log) {
  return fs.readFileSync(log, 'utf8').trim().split('\n').slice(-15).join('\n');
}

/** Ends a server: politely, then not. */
async function stop(server) {
  running.delete(server);
  const { child, ended } = server;
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), LEAVE);
  await ended;
  clearTimeout(late);
}

/** Ends all servers, the last one first. */
async function stopAll() {
  for (const server of [...running].reverse()) {
    await stop(server);
  }
}

/** Whether something listens on a port of 127.0.0.1. */
function listens(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** A free port below the range that outgoing connections are numbered from. */
function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(freePort()));
    server.listen(10000 + Math.floor(Math.random() * 20000), '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

module.exports = { run, present, serve, stop, stopAll, listens, freePort };
