// The frame of the AMQP benches: one node, one queue, a publisher and a consumer on connections of their
// own, warm-up, five rounds; at the end everything published must have been confirmed and consumed.
import { startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { AmqpWire, ackThrough, Method, publishFrames } from './amqp-wire.ts';
import { machineLoad, tellFigure } from './figure.ts';
import { cpuSeconds } from './server-cpu.ts';

const ROUNDS = 5;
const ROUND_MS = 1_500;
const WARM_UP_MS = 1_500;
const BODY_BYTES = 100;
/** Messages that the consumer has before it acknowledges all of them at once. */
const ACK_EVERY = 100;
const PREFETCH = 1_000;
/** Without confirms nothing but this bounds how far the publisher is ahead of the consumer. */
export const AHEAD_MAX = 20_000;

export interface AmqpBench {
  readonly name: string;
  /** Durable queue, persistent messages, confirms and acknowledgements; otherwise none of them. */
  readonly isDurable: boolean;
  /** A stream instead of a queue. */
  readonly isStream?: boolean;
  /** Messages in one write. */
  readonly perSegment: number;
  /** Messages that may wait for their confirm. */
  readonly window: number;
  /** Messages per second, consumed. */
  readonly floor: number;
}

/** What the publisher knows to be confirmed, whatever order the confirms come in. */
export class Confirms {
  count = 0;
  #below = 1;
  #early = new Set<number>();

  take(tag: number, isMultiple: boolean): void {
    if (!isMultiple) this.#early.add(tag);
    else {
      for (; this.#below <= tag; this.#below += 1)
        if (!this.#early.delete(this.#below)) this.count += 1;
      return;
    }
    this.count += 1;
    while (this.#early.delete(this.#below)) this.#below += 1;
  }
}

class Publisher {
  published = 0;
  isStopped = false;
  readonly confirms = new Confirms();
  readonly #wire: AmqpWire;
  readonly #bench: AmqpBench;
  readonly #segment: Buffer;
  readonly #done: () => number;

  /** `done`: messages that need no more room: confirmed, or consumed. */
  constructor(wire: AmqpWire, bench: AmqpBench, consumed: () => number) {
    this.#wire = wire;
    this.#bench = bench;
    const one = publishFrames(bench.name, BODY_BYTES, bench.isDurable);
    this.#segment = Buffer.concat(Array.from({ length: bench.perSegment }, () => one));
    this.#done = bench.isDurable ? () => this.confirms.count : consumed;
    wire.onMethod = (id, bytes, at) => {
      if (id === Method.nack) throw new Error('a message was refused');
      if (id === Method.ack) this.confirms.take(bytes.readUInt32BE(at + 4), bytes[at + 8] === 1);
    };
    wire.onRead = () => this.fill();
  }

  fill(): void {
    const { perSegment, window } = this.#bench;
    while (!this.isStopped && this.published + perSegment - this.#done() <= window) {
      this.published += perSegment;
      if (!this.#wire.socket.write(this.#segment) && !this.#bench.isDurable) break;
    }
  }
}

function countDeliveries(wire: AmqpWire, isAcknowledged: boolean, after: () => void): () => number {
  let delivered = 0;
  let acknowledged = 0;
  wire.onMethod = (id) => {
    if (id === Method.deliver) delivered += 1;
  };
  wire.onRead = () => {
    if (isAcknowledged && delivered - acknowledged >= ACK_EVERY) {
      wire.socket.write(ackThrough(delivered));
      acknowledged = delivered;
    }
    after();
  };
  return () => delivered;
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function runAmqpBench(bench: AmqpBench): Promise<void> {
  const load = machineLoad();
  const cluster = await startDev({ nodes: 1, shards: 1 });
  try {
    const url = cluster.nodes[0]!.amqp;
    const [to, from] = [await AmqpWire.connect(url), await AmqpWire.connect(url)];
    await to.declareQueue(
      bench.name,
      bench.isDurable,
      bench.isStream === true ? 'stream' : 'classic',
    );
    if (bench.isDurable) await to.confirmSelect();
    const consumed = countDeliveries(from, bench.isDurable, () => publisher.fill());
    const publisher = new Publisher(to, bench, consumed);
    to.socket.on('drain', () => publisher.fill());
    await from.consume(bench.name, PREFETCH, !bench.isDurable);
    publisher.fill();
    await delay(WARM_UP_MS);
    const pids = cluster.nodes.map(({ pid }) => pid);
    const [cpuBefore, consumedBefore] = [cpuSeconds(pids), consumed()];
    const rates: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const [before, startedMs] = [consumed(), performance.now()];
      await delay(ROUND_MS);
      rates.push(((consumed() - before) * 1000) / (performance.now() - startedMs));
    }
    const cpuUs = ((cpuSeconds(pids) - cpuBefore) * 1e6) / (consumed() - consumedBefore);
    publisher.isStopped = true;
    await until('all messages are consumed', async () => consumed() >= publisher.published);
    if (bench.isDurable) {
      await until('all are confirmed', async () => publisher.confirms.count >= publisher.published);
    }
    if (consumed() !== publisher.published) throw new Error('messages came twice');
    to.close();
    from.close();
    const note = `server cpu ${cpuUs.toFixed(1)} us a message`;
    const { name, floor } = bench;
    tellFigure({ name, unit: 'msg/s', samples: rates, floor, rule: 'least', load, note });
  } finally {
    await cluster.stop();
  }
}
