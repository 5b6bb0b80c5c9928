// 500,000 messages of 1 KB wait in one durable queue: how much resident memory has the node process, how much did the
// heap of the queue's thread grow, and which part of that thread's CPU went to the garbage collector while they were
// published? At the end the queue gives them all. The heap is the lowest that was seen in a while: between two
// collections it has up to 16 MB of garbage, and who is idle does not collect.
import { delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { Confirms } from './lib/amqp-bench.ts';
import { AmqpWire, ackThrough, Method, publishFrames } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { type CollectorShare, collectorShare, heapMb } from './lib/node-api.ts';
import { cpuSeconds, residentBytes } from './lib/server-cpu.ts';

const MESSAGES = 500_000;
const BODY_BYTES = 1_024;
const QUEUE = 'backlog';
const PER_WRITE = 64;
const WINDOW = 2_048;
/** What is measured begins when so many wait. */
const FIRST = 50_000;
/** The heap while so many were published first is compared with the one while as many were last. */
const HEAP_MESSAGES = 200_000;
const HEAP_LOOK_MS = 200;
/** Of one look; looks follow each other, because a whole collection in one of them alone would decide. */
const PROFILE_SEC = 2;
/** Until what is in memory has settled and the collector has been there. */
const IDLE_MS = 15_000;
const SAMPLES = 5;
const TIMEOUT_MS = 600_000;
const PREFETCH = 1_000;
/** The queue's thread: the only shard. */
const SHARD = 1;

class Publisher {
  published = 0;
  until = 0;
  readonly confirms = new Confirms();
  readonly #wire: AmqpWire;
  readonly #one = publishFrames(QUEUE, BODY_BYTES, true);

  constructor(wire: AmqpWire) {
    this.#wire = wire;
    wire.onMethod = (id, bytes, at) => {
      if (id === Method.nack) throw new Error('a message was refused');
      if (id === Method.ack) this.confirms.take(bytes.readUInt32BE(at + 4), bytes[at + 8] === 1);
    };
    wire.onRead = () => this.fill();
  }

  fill(): void {
    while (
      this.published < this.until &&
      this.published + PER_WRITE - this.confirms.count <= WINDOW
    ) {
      const count = Math.min(PER_WRITE, this.until - this.published);
      this.published += count;
      this.#wire.socket.write(Buffer.concat(Array.from({ length: count }, () => this.#one)));
    }
  }

  async publishTo(total: number): Promise<void> {
    this.until = total;
    this.fill();
    await until(`${total} are confirmed`, async () => this.confirms.count === total, TIMEOUT_MS);
  }
}

/** The lowest heap of the queue's thread while the first and while the last were published. */
async function heapsDuring(publisher: Publisher, http: string): Promise<[number, number]> {
  const lowest: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  while (publisher.confirms.count < MESSAGES) {
    const heap = await heapMb(http, SHARD);
    const { count } = publisher.confirms;
    if (count < FIRST + HEAP_MESSAGES) lowest[0] = Math.min(lowest[0], heap);
    else if (count > MESSAGES - HEAP_MESSAGES) lowest[1] = Math.min(lowest[1], heap);
    await delay(HEAP_LOOK_MS);
  }
  return lowest;
}

/** The collector's part of the CPU of the queue's thread, from now until all are confirmed: percent. */
async function collectorDuring(publisher: Publisher, http: string): Promise<number> {
  const shares: CollectorShare[] = [];
  while (publisher.confirms.count < MESSAGES) {
    shares.push(await collectorShare(http, SHARD, PROFILE_SEC));
  }
  const sum = (of: keyof CollectorShare) => shares.reduce((total, each) => total + each[of], 0);
  return (100 * sum('collectorUs')) / sum('busyUs');
}

async function drain(url: string): Promise<void> {
  const wire = await AmqpWire.connect(url);
  let [delivered, acknowledged] = [0, 0];
  wire.onMethod = (id) => {
    if (id === Method.deliver) delivered += 1;
  };
  wire.onRead = () => {
    if (delivered - acknowledged < PREFETCH / 2 && delivered < MESSAGES) return;
    wire.socket.write(ackThrough(delivered));
    acknowledged = delivered;
  };
  await wire.consume(QUEUE, PREFETCH, false);
  await until('all are delivered', async () => delivered >= MESSAGES, TIMEOUT_MS);
  await delay(200);
  if (delivered !== MESSAGES) throw new Error(`${delivered} were delivered, not ${MESSAGES}`);
  wire.close();
}

const load = machineLoad();
const cluster = await startDev({ nodes: 1, shards: 1 });
try {
  const { amqp, http, pid } = cluster.nodes[0]!;
  const wire = await AmqpWire.connect(amqp);
  await wire.declareQueue(QUEUE, true);
  await wire.confirmSelect();
  const publisher = new Publisher(wire);
  await publisher.publishTo(FIRST);
  await delay(IDLE_MS);
  const cpuBefore = cpuSeconds([pid]);
  const published = publisher.publishTo(MESSAGES);
  const [collector, [heapFirst, heapLast]] = await Promise.all([
    collectorDuring(publisher, http),
    heapsDuring(publisher, http),
    published,
  ]);
  const cpuUs = ((cpuSeconds([pid]) - cpuBefore) * 1e6) / (MESSAGES - FIRST);
  await delay(IDLE_MS);
  const resident: number[] = [];
  for (let i = 0; i < SAMPLES; i += 1) {
    resident.push(residentBytes(pid) / 1e6);
    await delay(1_000);
  }
  const grown = heapLast - heapFirst;
  const note = `server cpu ${cpuUs.toFixed(1)} us a message`;
  const common = { load, rule: 'most' as const };
  const name = 'queue-backlog';
  tellFigure({ ...common, name, unit: 'MB', samples: resident, floor: 200, note });
  tellFigure({ ...common, name: `${name} heap`, unit: 'MB more', samples: [grown], floor: 10 });
  tellFigure({ ...common, name: `${name} gc`, unit: '% of cpu', samples: [collector], floor: 3 });
  wire.close();
  await drain(amqp);
} finally {
  await cluster.stop();
}
