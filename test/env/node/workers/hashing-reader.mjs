// Reads a connection on a thread of its own, stops at random, and answers with the SHA-1 of what came.
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

/** `seen`: shared, told the bytes read so far. */
const { port, seed, seen } = workerData;
let state = seed;
/** A linear congruential generator is random enough for when to pause. */
function below(n) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}

const hash = createHash('sha1');
let [size, pauses] = [0, 0];
const socket = connect({ port, host: '127.0.0.1' });
socket.on('data', (chunk) => {
  hash.update(chunk);
  size += chunk.length;
  if (seen !== undefined) {
    Atomics.store(seen, 0, size);
    Atomics.notify(seen, 0);
  }
  if (below(40) > 0) return;
  pauses += 1;
  socket.pause();
  setTimeout(() => socket.resume(), below(8));
});
socket.once('error', (error) => {
  throw error;
});
socket.once('end', () => parentPort.postMessage({ sha1: hash.digest('hex'), size, pauses }));
