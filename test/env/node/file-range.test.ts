// Bytes and file ranges that take turns on one connection: a long stream judged by its hash, and readers
// that go in the middle while another one must not notice.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Connection, DiskFile, Listener } from '../../../src/env/environment.ts';
import { createNodeDisk } from '../../../src/env/node/disk.ts';
import { createNodeLog } from '../../../src/env/node/log.ts';
import { loadNative } from '../../../src/env/node/native.ts';
import { createNodeNet, type NodeNet } from '../../../src/env/node/net.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import { runs } from '../../setup/runs.ts';

const HEAD_BYTES_MAX = 200_000;
const BODY_BYTES_MAX = 2 << 20;
const FILE_BYTES = 8 << 20;
/** More is not queued until the connection has sent what it has. */
const QUEUED_BYTES_MAX = 6 << 20;
const READER = new URL('./workers/hashing-reader.mjs', import.meta.url);
const log = createNodeLog({ level: 'silent' });
const isLinux = process.platform === 'linux';

let base: string;
let file: DiskFile;
const content = new Uint8Array(FILE_BYTES);
const listeners: Listener[] = [];
const connections: (Connection | net.Socket)[] = [];

beforeAll(() => {
  base = fs.mkdtempSync(join(tmpdir(), 'callboard-range-'));
  file = createNodeDisk(base).open('file', { mode: 'create' });
  const random = new SeededRandom(1);
  const words = new Uint32Array(content.buffer);
  for (let i = 0; i < words.length; i += 1) words[i] = random.u32();
  file.writeSync(content, 0);
});
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close();
  for (const connection of connections.splice(0)) connection.destroy();
});
afterAll(() => {
  file.close();
  fs.rmSync(base, { recursive: true, force: true });
});

interface Frame {
  readonly head: Uint8Array;
  readonly position: number;
  readonly length: number;
}

/** Small ones are frequent, and the largest sizes occur. */
function sizeBelow(random: SeededRandom, max: number): number {
  const part = random.below(1 << 20) / (1 << 20);
  return Math.floor(part ** 3 * (max + 1));
}

function* framesOf(seed: number, count: number): Generator<Frame> {
  const random = new SeededRandom(seed);
  for (let i = 0; i < count; i += 1) {
    const size = 1 + sizeBelow(random, HEAD_BYTES_MAX - 1);
    const from = random.below(FILE_BYTES - size);
    const length = sizeBelow(random, BODY_BYTES_MAX);
    const position = random.below(FILE_BYTES - length);
    yield { head: content.subarray(from, from + size), position, length };
  }
}

interface Sent {
  /** Frames queued so far. */
  count: number;
  /** The connection is closed, or has everything. */
  isOver: boolean;
  /** In the order of their calls: 2n for the head of frame n, 2n + 1 for its body. */
  readonly dones: number[];
}

/** Queues frames as long as little waits, and goes on when something was sent. */
function sendFrames(connection: Connection, frames: Iterator<Frame>, ended: () => void): Sent {
  const sent: Sent = { count: 0, isOver: false, dones: [] };
  const pump = (): void => {
    while (!sent.isOver && connection.queuedBytes < QUEUED_BYTES_MAX) {
      const next = frames.next();
      if (next.done === true) {
        sent.isOver = true;
        ended();
        return;
      }
      const { head, position, length } = next.value;
      const at = 2 * sent.count;
      sent.count += 1;
      connection.write(head, () => {
        sent.dones.push(at);
      });
      connection.sendFile(file, position, length, () => {
        sent.dones.push(at + 1);
        // Not at once: when this is told because the connection closes, nothing more is queued.
        setImmediate(pump);
      });
    }
  };
  pump();
  return sent;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

interface Answer {
  readonly sha1: string;
  readonly size: number;
  readonly pauses: number;
}

/** Connects from a thread of its own, reads to the end with pauses, and hashes. */
function hashingReader(port: number, seed: number, seen?: Int32Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(READER, { workerData: { port, seed, seen } });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

interface Stream {
  readonly answer: Answer;
  readonly sha1: string;
  readonly size: number;
  readonly sent: Sent;
}

/** Sends `count` frames to a reader that pauses, while `beside` happens at the same address. */
async function stream(
  on: NodeNet,
  seed: number,
  count: number,
  beside: (port: number, accept: (take: (connection: Connection) => void) => void) => Promise<void>,
): Promise<Stream> {
  const hash = createHash('sha1');
  let size = 0;
  let sent: Sent | undefined;
  let others: (connection: Connection) => void = () => undefined;
  function* hashed(): Generator<Frame> {
    for (const frame of framesOf(seed, count)) {
      const body = content.subarray(frame.position, frame.position + frame.length);
      hash.update(frame.head).update(body);
      size += frame.head.length + body.length;
      yield frame;
    }
  }
  const started = new Promise<void>((resolve, reject) => {
    const accept = (connection: Connection): void => {
      connections.push(connection);
      if (sent !== undefined) {
        others(connection);
        return;
      }
      connection.start({ onBytes: () => undefined, onClose: (error) => error && reject(error) });
      sent = sendFrames(connection, hashed(), () => connection.end());
      resolve();
    };
    void (async () => {
      const listener = await on.listen({ host: '127.0.0.1', port: 0 }, accept);
      listeners.push(listener);
      listening(listener.address.port);
    })().catch(reject);
  });
  let listening: (port: number) => void = () => undefined;
  const port = await new Promise<number>((resolve) => {
    listening = resolve;
  });
  const answer = hashingReader(port, seed);
  await started;
  await beside(port, (take) => {
    others = take;
  });
  return { answer: await answer, sha1: hash.digest('hex'), size, sent: sent! };
}

function expectWhole({ answer, sha1, size, sent }: Stream, count: number): void {
  expect(answer.size).toBe(size);
  expect(answer.sha1).toBe(sha1);
  expect(sent.dones).toEqual(upTo(2 * count));
}

describe.each([
  ['native calls', true],
  ['plain Node', false],
] as const)('file ranges over %s', (_name, isNative) => {
  const make = (): NodeNet => createNodeNet({ native: loadNative(isNative).calls, log });

  test('heads and bodies in turn arrive as sent, at a reader that pauses at random', async () => {
    const on = make();
    const count = runs(3000, 300);
    const all = await stream(on, 42, count, async () => undefined);
    expectWhole(all, count);
    expect(all.answer.pauses).toBeGreaterThan(count / 100);
    const { sendfileBytes, sendfileCalls, copiedBytes } = on.counters;
    if (!isNative || !isLinux) {
      expect(sendfileCalls).toBe(0);
      return;
    }
    // The remainder after a call that the socket cut short, and bodies below 64 KB, are copied.
    expect(sendfileBytes).toBeGreaterThan(copiedBytes);
    expect(on.counters.bytesOut).toBe(all.size);
  }, 240_000);

  test('a range does not overtake bytes of Node’s queue when the kernel has room again', async () => {
    const on = make();
    const seen = new Int32Array(new SharedArrayBuffer(4));
    const ended = new Promise<void>((resolve, reject) => {
      const accept = (connection: Connection): void => {
        connections.push(connection);
        connection.start({ onBytes: () => undefined, onClose: () => resolve() });
        connection.write(content);
        // The loop stands still while the reader empties the kernel's buffer.
        for (let size = 0; size < 1 << 20; size = Atomics.load(seen, 0)) {
          if (Atomics.wait(seen, 0, size, 20_000) !== 'timed-out') continue;
          throw new Error('the reader reads nothing');
        }
        connection.sendFile(file, 0, 1 << 20, () => undefined);
        connection.end();
      };
      on.listen({ host: '127.0.0.1', port: 0 }, accept).then((listener) => {
        listeners.push(listener);
        answer = hashingReader(listener.address.port, 44, seen);
      }, reject);
    });
    let answer: Promise<Answer> | undefined;
    await ended;
    const expected = createHash('sha1')
      .update(content)
      .update(content.subarray(0, 1 << 20));
    expect((await answer)?.sha1).toBe(expected.digest('hex'));
  });

  test('readers that go in the middle end their own stream and touch no other', async () => {
    const on = make();
    const leavers = runs(200, 30);
    const frames = 40;
    const closes: { sent: Sent; donesAtClose: number }[] = [];
    const all = await stream(on, 43, runs(1000, 150), async (port, accept) => {
      let seed = 0;
      accept((connection) => {
        // A descriptor that was closed is that of the next connection at once.
        const mine: { sent?: Sent } = {};
        connection.start({
          onBytes: () => undefined,
          onClose: () => {
            mine.sent!.isOver = true;
            closes.push({ sent: mine.sent!, donesAtClose: mine.sent!.dones.length });
          },
        });
        mine.sent = sendFrames(connection, framesOf(1000 + seed, frames), () => connection.end());
      });
      for (; seed < leavers; seed += 1) {
        const got = await readSome(port, seed);
        expect(got.equals(prefixOf(1000 + seed, frames, got.length)), `stream ${seed}`).toBe(true);
      }
    });
    expectWhole(all, runs(1000, 150));
    await expect.poll(() => closes.length).toBe(leavers);
    // Also what never left is answered: once, and before the close is told.
    for (const { sent, donesAtClose } of closes) {
      expect([...sent.dones].sort((a, b) => a - b)).toEqual(upTo(2 * sent.count));
      expect(donesAtClose).toBe(2 * sent.count);
    }
    expect(closes.some(({ sent }) => sent.count < frames)).toBe(true);
    if (isNative && isLinux) expect(on.counters.sendfileBytes).toBeGreaterThan(0);
  }, 240_000);
});

/** What the first bytes of a stream must be. */
function prefixOf(seed: number, count: number, size: number): Buffer {
  const parts: Uint8Array[] = [];
  let left = size;
  for (const { head, position, length } of framesOf(seed, count)) {
    if (left <= 0) break;
    parts.push(head, content.subarray(position, position + length));
    left -= head.length + length;
  }
  return Buffer.concat(parts).subarray(0, size);
}

/** Reads up to 3 MB and goes, with a goodbye or with a reset. */
function readSome(port: number, seed: number): Promise<Buffer> {
  const random = new SeededRandom(5000 + seed);
  const enough = sizeBelow(random, 3_000_000);
  const isRude = random.below(2) === 1;
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    connections.push(socket);
    const parts: Buffer[] = [];
    let size = 0;
    socket.on('data', (chunk: Buffer) => {
      parts.push(chunk);
      size += chunk.length;
      if (size < enough) return;
      if (isRude) socket.resetAndDestroy();
      else socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(Buffer.concat(parts)));
  });
}
