#!/usr/bin/env node
// CommonJS on purpose, and nothing newer than Node 4 understands: it must load on any Node to say which
// one is needed. The thread pool's size can only be set here, before the first ES module loads.
'use strict';
const version = process.versions.node;
var parts = version.split('.');
if (Number(parts[0]) < 20 || (Number(parts[0]) === 20 && Number(parts[1]) < 19)) {
  process.stderr.write(`callboard: Node ${version} is too old; install Node 20.19 or newer.\n`);
  process.exitCode = 2;
} else {
  // File writes, syncs and cold reads of all threads share this pool; Node's 4 would be a queue.
  if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '12';
  require('./load.cjs');
}
