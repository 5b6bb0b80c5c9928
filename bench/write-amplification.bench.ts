// How many bytes does a node write for each byte of a message that it takes: in a durable queue that is consumed at
// once, where segments go again before the disk has them, and in one where all of it settles? What is written is what
// the kernel counts for the device (for a process it counts whole folios of the page cache, many times what reaches the
// disk), so nothing else may write to it: `TMPDIR` may name a file system of its own, on a loop device. The store's own
// counters are told beside it. Each round ends when the page cache has nothing more for that file system: else what
// settles in one round would be counted in the next. Files that the log makes until it has its size are paid before the
// figure begins; how many it made after that is told.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { Confirms } from './lib/amqp-bench.ts';
import { AmqpWire, ackThrough, Method, publishFrames } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { countersOf } from './lib/node-api.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const BODY_BYTES = 1_024;
const PER_WRITE = 64;
/** Less than what a queue keeps before it settles at once (256 KiB). */
const WINDOW = 128;
/** Until the log's files have their size and go round. */
const WARM_UP = 300_000;
const MESSAGES = 100_000;
const ROUNDS = 3;
const ACK_EVERY = 32;
const PREFETCH = 1_000;
/** Shards tell their counters now and then. */
const COUNTED_MS = 3_000;
/** So that what is due has settled. */
const SETTLED_MS = 12_000;
const TIMEOUT_MS = 600_000;

const SECTOR_BYTES = 512;
/** The seventh field of a block device's counters. */
const SECTORS_WRITTEN = 6;

/** Bytes written so far to the device that holds a folder, by whomever, with all that waited to be. */
function writtenBytes(folder: string): number {
  execFileSync('sync', ['-f', folder]);
  const { dev } = fs.statSync(folder);
  const major = (dev >> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
  const stat = fs.readFileSync(`/sys/dev/block/${major}:${minor}/stat`, 'utf8');
  const bytes = Number(stat.trim().split(/\s+/)[SECTORS_WRITTEN]) * SECTOR_BYTES;
  if (!Number.isFinite(bytes)) throw new Error('the kernel does not count what is written here');
  return bytes;
}

class Traffic {
  readonly #to: AmqpWire;
  readonly #from: AmqpWire | undefined;
  readonly #confirms = new Confirms();
  readonly #segment: Buffer;
  #published = 0;
  #delivered = 0;
  #acknowledged = 0;
  #end = 0;

  constructor(queue: string, to: AmqpWire, from: AmqpWire | undefined) {
    this.#to = to;
    this.#from = from;
    const one = publishFrames(queue, BODY_BYTES, true);
    this.#segment = Buffer.concat(Array.from({ length: PER_WRITE }, () => one));
    to.onMethod = (id, bytes, at) => {
      if (id === Method.nack) throw new Error('a message was refused');
      if (id === Method.ack) this.#confirms.take(bytes.readUInt32BE(at + 4), bytes[at + 8] === 1);
    };
    to.onRead = () => this.#fill();
    if (from === undefined) return;
    from.onMethod = (id) => {
      if (id === Method.deliver) this.#delivered += 1;
    };
    from.onRead = () => {
      this.#acknowledge();
      this.#fill();
    };
  }

  #acknowledge(): void {
    const isDue =
      this.#delivered - this.#acknowledged >= ACK_EVERY || this.#delivered === this.#end;
    if (!isDue || this.#delivered === this.#acknowledged) return;
    this.#from?.socket.write(ackThrough(this.#delivered));
    this.#acknowledged = this.#delivered;
  }

  #fill(): void {
    // With a consumer nothing is further ahead of it than the window.
    const done = () =>
      this.#from === undefined
        ? this.#confirms.count
        : Math.min(this.#confirms.count, this.#acknowledged);
    while (this.#published < this.#end && this.#published + PER_WRITE - done() <= WINDOW) {
      this.#published += PER_WRITE;
      this.#to.socket.write(this.#segment);
    }
  }

  /** Publishes so many more and waits until all are confirmed and consumed. Answers how many there were. */
  async run(messages: number): Promise<number> {
    const count = Math.ceil(messages / PER_WRITE) * PER_WRITE;
    this.#end += count;
    this.#fill();
    const isDone = async (): Promise<boolean> =>
      this.#confirms.count === this.#end &&
      (this.#from === undefined || this.#acknowledged === this.#end);
    await until('all are confirmed and consumed', isDone, TIMEOUT_MS);
    return count;
  }
}

async function line(name: string, isConsumed: boolean, most: number): Promise<void> {
  const load = machineLoad();
  const cluster = await startDev({ nodes: 1, shards: 1 });
  try {
    const { amqp, http, pid } = cluster.nodes[0]!;
    const to = await AmqpWire.connect(amqp);
    const from = isConsumed ? await AmqpWire.connect(amqp) : undefined;
    await to.declareQueue(name, true);
    await to.confirmSelect();
    const traffic = new Traffic(name, to, from);
    await from?.consume(name, PREFETCH, false);
    await traffic.run(WARM_UP);
    await delay(SETTLED_MS);
    const before = await countersOf(http);
    const cpuBefore = cpuSeconds([pid]);
    const samples: number[] = [];
    let bytes = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const writtenBefore = writtenBytes(cluster.data);
      const accepted = (await traffic.run(MESSAGES)) * BODY_BYTES;
      if (!isConsumed) await delay(SETTLED_MS);
      bytes += accepted;
      samples.push((writtenBytes(cluster.data) - writtenBefore) / accepted);
    }
    const cpuUs = ((cpuSeconds([pid]) - cpuBefore) * 1e6) / (bytes / BODY_BYTES);
    await delay(COUNTED_MS);
    const after = await countersOf(http);
    const part = (counter: string): number =>
      ((after[counter] ?? 0) - (before[counter] ?? 0)) / bytes;
    const settled = part('storage.settledBytes');
    // What the line says it measures must be what happened.
    if (!isConsumed && settled < 0.9) {
      process.exitCode = 1;
      process.stderr.write(`${name}: ${settled.toFixed(2)} of each byte settled\n`);
    }
    const made = (after['storage.walFilesMade'] ?? 0) - (before['storage.walFilesMade'] ?? 0);
    const note =
      `WAL ${part('storage.walBytes').toFixed(2)}, settled ${settled.toFixed(2)}, ${made} WAL files made; ` +
      `server cpu ${cpuUs.toFixed(1)} us a message`;
    tellFigure({ name, unit: 'x', samples, floor: most, rule: 'most', load, note });
    to.close();
    from?.close();
  } finally {
    await cluster.stop();
  }
}

await line('write-amplification consumed', true, 1.2);
await line('write-amplification settled', false, 2.2);
