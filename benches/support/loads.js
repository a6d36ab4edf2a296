// What the benchmarks of page loads in Chromium share.
'use strict';

const { execFileSync } = require('node:child_process');

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/** Name and version of Debian's Chromium. */
function version() {
  return execFileSync('chromium', ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim();
}

module.exports = { median, version };
