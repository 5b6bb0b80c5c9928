// How much CPU does a node need for 10,000 durable queues of 5 messages a second each, 50,000 a second in all, published
// with confirms and consumed with acknowledgements? The publishers go by the clock: where the node does not keep up,
// the rate that came about is told beside the cores, and the figure counts for nothing.
import { delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { Confirms } from './lib/amqp-bench.ts';
import { AmqpWire, ackThrough, Method, publishFrames } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const QUEUES = 10_000;
const PER_QUEUE = 5;
const RATE = QUEUES * PER_QUEUE;
/** Connections of publishers, and as many of consumers. */
const CONNECTIONS = 10;
const BODY_BYTES = 100;
const PREFETCH = 100;
const TICK_MS = 5;
const WARM_UP_MS = 3_000;
const ROUND_MS = 3_000;
const ROUNDS = 5;
/** Messages that may wait for their confirm: beyond them a publisher waits, and the rate is missed. */
const WINDOW = 50_000;
const DRAIN_MS = 120_000;
/** Of the rate that is wanted. */
const RATE_PART = 0.98;

const queueOf = (index: number): string => `many-${index}`;

/** One publisher or consumer has every tenth queue. */
const queuesOf = (lane: number): string[] =>
  Array.from({ length: QUEUES / CONNECTIONS }, (_, i) => queueOf(i * CONNECTIONS + lane));

class Publisher {
  published = 0;
  readonly confirms = new Confirms();
  readonly #wire: AmqpWire;
  readonly #frames: readonly Buffer[];

  constructor(wire: AmqpWire, queues: readonly string[]) {
    this.#wire = wire;
    this.#frames = queues.map((queue) => publishFrames(queue, BODY_BYTES, true));
    wire.onMethod = (id, bytes, at) => {
      if (id === Method.nack) throw new Error('a message was refused');
      if (id === Method.ack) this.confirms.take(bytes.readUInt32BE(at + 4), bytes[at + 8] === 1);
    };
  }

  /** Publishes until there are so many, in the order of the queues. */
  publishTo(total: number): void {
    const end = Math.min(total, this.confirms.count + WINDOW / CONNECTIONS);
    const out: Buffer[] = [];
    for (; this.published < end; this.published += 1) {
      out.push(this.#frames[this.published % this.#frames.length]!);
    }
    if (out.length > 0) this.#wire.socket.write(Buffer.concat(out));
  }
}

class Consumer {
  delivered = 0;
  #acknowledged = 0;

  constructor(wire: AmqpWire) {
    wire.onMethod = (id) => {
      if (id === Method.deliver) this.delivered += 1;
    };
    wire.onRead = () => {
      if (this.delivered === this.#acknowledged) return;
      wire.socket.write(ackThrough(this.delivered));
      this.#acknowledged = this.delivered;
    };
  }
}

const load = machineLoad();
const cluster = await startDev({ nodes: 1, shards: 1 });
try {
  const url = cluster.nodes[0]!.amqp;
  const lanes = Array.from({ length: CONNECTIONS }, (_, lane) => lane);
  const to = await Promise.all(lanes.map(() => AmqpWire.connect(url)));
  const from = await Promise.all(lanes.map(() => AmqpWire.connect(url)));
  await Promise.all(
    lanes.map(async (lane) => {
      for (const queue of queuesOf(lane)) await to[lane]!.declareQueue(queue, true);
      await to[lane]!.confirmSelect();
      for (const queue of queuesOf(lane)) {
        await from[lane]!.consume(queue, PREFETCH, false, queue);
      }
    }),
  );
  const publishers = lanes.map((lane) => new Publisher(to[lane]!, queuesOf(lane)));
  const consumers = from.map((wire) => new Consumer(wire));
  const sum = (of: readonly number[]): number => of.reduce((all, each) => all + each, 0);
  const published = () => sum(publishers.map((each) => each.published));
  const confirmed = () => sum(publishers.map((each) => each.confirms.count));
  const delivered = () => sum(consumers.map((each) => each.delivered));

  const startMs = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - startMs) / 1_000) * (RATE / CONNECTIONS);
    for (const publisher of publishers) publisher.publishTo(Math.floor(due));
  }, TICK_MS);
  await delay(WARM_UP_MS);
  const pids = cluster.nodes.map(({ pid }) => pid);
  const cores: number[] = [];
  const [deliveredBefore, measuredMs] = [delivered(), performance.now()];
  for (let round = 0; round < ROUNDS; round += 1) {
    const [cpu, fromMs] = [cpuSeconds(pids), performance.now()];
    await delay(ROUND_MS);
    cores.push(((cpuSeconds(pids) - cpu) * 1_000) / (performance.now() - fromMs));
  }
  const rate = ((delivered() - deliveredBefore) * 1_000) / (performance.now() - measuredMs);
  clearInterval(timer);
  await until('all are confirmed', async () => confirmed() === published(), DRAIN_MS);
  await until('all are consumed', async () => delivered() >= published(), DRAIN_MS);
  if (delivered() !== published()) throw new Error('messages came twice');
  for (const wire of [...to, ...from]) wire.close();
  const isHeld = rate >= RATE_PART * RATE;
  if (!isHeld) process.exitCode = 1;
  const cpuUs = (cores.sort((a, b) => a - b)[cores.length >> 1]! * 1e6) / rate;
  tellFigure({
    name: 'many-queues',
    unit: 'cores',
    samples: cores,
    floor: 1,
    rule: 'most',
    load,
    note:
      `${(rate / 1e3).toFixed(1)} k msg/s${isHeld ? '' : ', TOO FEW'}, ` +
      `server cpu ${cpuUs.toFixed(1)} us a message`,
  });
} finally {
  await cluster.stop();
}
