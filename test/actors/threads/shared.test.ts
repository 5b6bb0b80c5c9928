// The shared-memory helpers between two real threads, as an application uses them: through the door, with
// stalls on both sides, from indices near 2^31 and 2^32.
import { MessageChannel, Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { HeartbeatWatch } from '../../../src/actors/threads/heartbeat.ts';
import { createRing, RingWriter } from '../../../src/actors/threads/ring.ts';
import { createSlab, SLAB_UNIT_BYTES, SlabPool } from '../../../src/actors/threads/slab-pool.ts';
import { WaitBell } from '../../../src/actors/threads/wait-bell.ts';
import { PortBell } from '../../../src/env/node/port-bell.ts';
import { SeededRandom } from '../../../src/std/prng.ts';

const NEAR_WRAP = [0, 0x7fff_f000, 0xffff_f000];
const BELLS = ['wait', 'port'] as const;

const workers: Worker[] = [];
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.terminate();
});

interface Other {
  readonly words: Int32Array;
  /** Rings the bell of the other thread. */
  readonly bell: { ring(): void };
  /** What it says next. */
  next(): Promise<unknown>;
  /** Resolves with its next ring of our bell; rings that nobody waited for count. */
  room(): Promise<void>;
}

function start(data: object, bell: (typeof BELLS)[number] = 'wait', heartbeatAt = 0): Other {
  const words = new Int32Array(new SharedArrayBuffer(32));
  words[1] = heartbeatAt;
  const room = new MessageChannel();
  const wake = new MessageChannel();
  const isPort = bell === 'port';
  const worker = new Worker(new URL('../workers/shared.mjs', import.meta.url), {
    workerData: {
      ...data,
      words,
      roomPort: room.port2,
      ...(isPort ? { bellPort: wake.port2 } : {}),
    },
    transferList: isPort ? [room.port2, wake.port2] : [room.port2],
  });
  workers.push(worker);
  const said: unknown[] = [];
  let rings = 0;
  let heard: () => void = () => undefined;
  const changed = () => new Promise<void>((resolve) => (heard = resolve));
  worker.on('message', (message) => {
    said.push(message);
    heard();
  });
  worker.on('error', (error) => {
    said.push(error);
    heard();
  });
  const roomBell = new PortBell(room.port1);
  roomBell.onRing(() => {
    rings += 1;
    heard();
  });
  roomBell.unref();
  return {
    words,
    bell: isPort ? new PortBell(wake.port1) : new WaitBell(words, 0),
    async next() {
      while (said.length === 0) await changed();
      return said.shift();
    },
    async room() {
      while (rings === 0 && said.length === 0) await changed();
      rings = 0;
    },
  };
}

test.each(BELLS.flatMap((bell) => NEAR_WRAP.map((from) => [bell, from] as const)))(
  'every record comes once and in order, with a %s bell, from index %i',
  async (bell, from) => {
    const ring = createRing(4096, from);
    const writer = new RingWriter(ring);
    const random = new SeededRandom(from + 1);
    const count = 20_000;
    const other = start({ mode: 'ring', ring, count }, bell);
    let bytes = 0;
    for (let number = 0; number < count; number += 1) {
      // Every length modulo 8, so that skip markers of every size come up; some as large as may be.
      const size = random.below(200) === 0 ? writer.size / 2 - 8 : random.below(120);
      const content = new Uint8Array(size).fill(number);
      while (!writer.write(content, number & 0xffff)) {
        if (writer.publish()) other.bell.ring();
        writer.wantRoom();
        if (writer.usedBytes > 0) await other.room();
      }
      bytes += size;
      if (random.below(20) === 0 && writer.publish()) other.bell.ring();
    }
    if (writer.publish()) other.bell.ring();
    expect(await other.next()).toEqual({ wrong: 0, bytes });
    expect(writer.usedBytes).toBe(0);
  },
);

test.each(NEAR_WRAP)(
  'runs of a slab are read in place, kept for a while and free in the end, from index %i',
  async (from) => {
    const ring = createRing(4096, from);
    // Two runs of three units are kept at most, and wherever they lie a third fits.
    const slab = createSlab(14 * SLAB_UNIT_BYTES);
    const writer = new RingWriter(ring);
    const pool = new SlabPool(slab);
    const random = new SeededRandom(from + 1);
    const count = 1_000;
    const other = start({ mode: 'slab', ring, slab, count });
    let refused = 0;
    for (let number = 0; number < count; number += 1) {
      const length = random.below(3 * SLAB_UNIT_BYTES);
      let position = pool.take(length);
      while (position < 0) {
        refused += 1;
        pool.wantRoom();
        position = pool.take(length);
        if (position >= 0) break;
        await other.room();
        position = pool.take(length);
      }
      pool.bytes.fill(number, position, position + length);
      const record = new Uint8Array(8);
      new DataView(record.buffer).setUint32(0, position, true);
      new DataView(record.buffer).setUint32(4, length, true);
      // A record for each run, and more room in the ring than there are runs.
      expect(writer.write(record)).toBe(true);
      if (writer.publish()) other.bell.ring();
    }
    expect(await other.next()).toEqual({ wrong: 0 });
    expect(pool.usedBytes).toBe(0);
    expect(refused).toBeGreaterThan(0);
  },
);

test.each([0, 0x7fff_fffc, -4])(
  'a thread that moves or rests is never judged, one that is stuck is, from %i',
  async (from) => {
    const count = 30;
    const other = start({ mode: 'heartbeat', count }, 'wait', from);
    expect(await other.next()).toBe(0);
    const watch = new HeartbeatWatch(other.words, 1, 2);
    for (let step = 1; step < count; step += 1) {
      expect(watch.look()).toBe(false);
      other.bell.ring();
      expect(await other.next()).toBe(step);
      // At rest it may be looked at as often as one likes.
      if (step % 3 === 2) for (let look = 0; look < 5; look += 1) expect(watch.look()).toBe(false);
    }
    other.bell.ring();
    expect(await other.next()).toBe('stuck');
    expect([watch.look(), watch.look(), watch.look()]).toEqual([false, false, true]);
  },
);
