// A hop between linkpush and an application: passes on requests and responses as they are, records what is asked for and
// when, and can hold a document back.
'use strict';

const http = require('node:http');

/** How long a held document waits for the assets, in milliseconds: then the browser did not use the 103. */
const PATIENCE = 4_000;

class Recorder {
  constructor(port) {
    this.port = port;
    this.agent = new http.Agent({ keepAlive: true });
    this.server = http.createServer((request, response) => this.#pass(request, response));
    /** The fields of the last request for a document. */
    this.navigation = {};
    this.begin();
  }

  /**
   * Begins a new record. A document that is asked for is held back until all of `awaited` (paths) have been asked for
   * too, or the patience ends; `think` milliseconds in any case.
   */
  begin({ awaited = [], think = 0 } = {}) {
    this.awaited = new Set(awaited);
    this.think = think;
    /** Path and query of each request but documents, in order. */
    this.assets = [];
    /** How many of `assets` were asked for before the document was let go; null before that. */
    this.early = null;
    this.last = performance.now();
    this.open = 0;
    this.#check = () => {};
  }

  #check = () => {};

  #pass(request, response) {
    const isDocument = request.headers['sec-fetch-mode'] === 'navigate';
    if (isDocument) {
      this.navigation = request.headers;
    } else {
      this.assets.push(request.url);
      this.awaited.delete(request.url);
      this.#check();
    }
    this.#count(1);
    response.once('close', () => this.#count(-1));
    const began = performance.now();
    const { method, url: path, rawHeaders: headers } = request;
    const options = { host: '127.0.0.1', port: this.port, method, path, headers, agent: this.agent };
    const asked = http.request(options, (answer) => {
      const deliver = () => {
        response.writeHead(answer.statusCode, answer.statusMessage, endToEnd(answer.rawHeaders));
        answer.pipe(response);
      };
      if (isDocument) {
        this.#hold(began).then(deliver);
      } else {
        deliver();
      }
    });
    asked.on('error', (error) => response.destroy(error));
    request.pipe(asked);
  }

  /** Resolves once a document that was asked for at `began` may go. */
  async #hold(began) {
    const isHeld = this.awaited.size > 0;
    if (isHeld) {
      await new Promise((resolve) => {
        const late = setTimeout(resolve, PATIENCE);
        this.#check = () => {
          if (this.awaited.size === 0) {
            clearTimeout(late);
            resolve();
          }
        };
        this.#check();
      });
    }
    const rest = this.think - (performance.now() - began);
    if (rest > 0) {
      await new Promise((resolve) => setTimeout(resolve, rest));
    }
    this.early ??= this.assets.length;
  }

  #count(change) {
    this.open += change;
    this.last = performance.now();
  }

  /** Resolves once nothing has been asked for or answered for so many milliseconds. */
  async quiet(milliseconds) {
    for (;;) {
      const rest = this.last + milliseconds - performance.now();
      if (rest <= 0 && this.open === 0) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(rest, 20)));
    }
  }
}

/** The fields of a response without those of its connection. */
function endToEnd(raw) {
  const fields = [];
  for (let at = 0; at < raw.length; at += 2) {
    if (!/^(connection|keep-alive|transfer-encoding)$/i.test(raw[at])) {
      fields.push(raw[at], raw[at + 1]);
    }
  }
  return fields;
}

module.exports = { Recorder, PATIENCE };
