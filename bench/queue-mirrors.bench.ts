// How many bytes do nodes send each other for a message of 1 KB through a durable queue with 0, 1 and 2 mirrors,
// published with confirms and consumed with acknowledgements on the node that has the queue? And how many messages a
// second are that, three processes on one machine? Bytes are what the nodes' own links have written, heartbeats and all.
import { type DevCluster, delay, startDev, until } from '../tools/lib/dev-cluster.mjs';
import { Confirms } from './lib/amqp-bench.ts';
import { AmqpWire, ackThrough, Method, publishFrames } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { countersOf } from './lib/node-api.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const BODY_BYTES = 1_024;
const MESSAGES = 20_000;
const PER_SEGMENT = 64;
const WINDOW = 192;
const ROUNDS = 5;
const PREFETCH = 1_000;
const DRAIN_MS = 120_000;
const TOLD_MS = 2_000;
/** A mirror may cost so much for a message, the message included; without one nothing is left but heartbeats. */
const MIRROR_BYTES = 1_300;
const BARE_BYTES = 100;
const RATE_FLOOR = 20_000;

async function sentBytes({ nodes }: DevCluster): Promise<number> {
  let sum = 0;
  let names = 0;
  for (const { http } of nodes) {
    for (const [name, value] of Object.entries(await countersOf(http))) {
      if (!/\blinks\.bytesSent$/.test(name)) continue;
      sum += value;
      names += 1;
    }
  }
  if (names < nodes.length) throw new Error(`${names} counters of bytes that links have sent`);
  return sum;
}

interface Shown {
  readonly destinations: readonly {
    readonly name: string;
    readonly partitions: readonly { readonly leader: number; readonly isr: readonly number[] }[];
  }[];
}

/** The URL of the node that leads the queue, once all of its replicas are in sync. */
async function leaderUrl({ nodes }: DevCluster, queue: string, replicas: number): Promise<string> {
  return until(`${queue} has ${replicas} replicas`, async () => {
    const shown = (await (await fetch(`${nodes[0]!.http}/api/destinations`)).json()) as Shown;
    const log = shown.destinations.find(({ name }) => name === queue)?.partitions[0];
    if (log?.isr.length !== replicas) return undefined;
    return nodes.find(({ id }) => id === log.leader)?.amqp;
  });
}

/** One queue, its publisher and its consumer, at the node that leads it. */
class Flow {
  readonly #to: AmqpWire;
  readonly #confirms = new Confirms();
  readonly #segment: Buffer;
  #published = 0;
  #wanted = 0;
  #delivered = 0;
  #acknowledged = 0;

  private constructor(to: AmqpWire, from: AmqpWire, queue: string) {
    this.#to = to;
    const one = publishFrames(queue, BODY_BYTES, true);
    this.#segment = Buffer.concat(Array.from({ length: PER_SEGMENT }, () => one));
    to.onMethod = (id, bytes, at) => {
      if (id === Method.nack) throw new Error('a message was refused');
      if (id === Method.ack) this.#confirms.take(bytes.readUInt32BE(at + 4), bytes[at + 8] === 1);
    };
    to.onRead = () => this.#fill();
    from.onMethod = (id) => {
      if (id === Method.deliver) this.#delivered += 1;
    };
    from.onRead = () => {
      if (this.#delivered === this.#acknowledged) return;
      from.socket.write(ackThrough(this.#delivered));
      this.#acknowledged = this.#delivered;
    };
  }

  static async open(to: AmqpWire, from: AmqpWire, queue: string): Promise<Flow> {
    await to.confirmSelect();
    await from.consume(queue, PREFETCH, false);
    return new Flow(to, from, queue);
  }

  #fill(): void {
    while (
      this.#published < this.#wanted &&
      this.#published + PER_SEGMENT - this.#confirms.count <= WINDOW
    ) {
      this.#published += PER_SEGMENT;
      this.#to.socket.write(this.#segment);
    }
  }

  /** Publishes at least so many more; resolves when all are confirmed and consumed. Answers how many it were. */
  async pass(count: number): Promise<number> {
    const before = this.#published;
    this.#wanted = before + count;
    this.#fill();
    const isDone = () =>
      this.#published >= this.#wanted &&
      this.#confirms.count === this.#published &&
      this.#delivered >= this.#published;
    await until('all are confirmed and consumed', isDone, DRAIN_MS);
    if (this.#delivered !== this.#published) throw new Error('messages came twice');
    return this.#published - before;
  }
}

for (const mirrors of [0, 1, 2]) {
  const load = machineLoad();
  const name = `queue-mirrors ${mirrors}`;
  const args = ['--queue-replicas', String(mirrors + 1)];
  const cluster = await startDev({ nodes: 3, shards: 1, args });
  const wires: AmqpWire[] = [];
  const connect = async (url: string): Promise<AmqpWire> => {
    const wire = await AmqpWire.connect(url);
    wires.push(wire);
    return wire;
  };
  try {
    const declaring = await connect(cluster.nodes[0]!.amqp);
    await declaring.declareQueue(name, true);
    const url = await leaderUrl(cluster, name, mirrors + 1);
    const flow = await Flow.open(await connect(url), await connect(url), name);
    await flow.pass(PER_SEGMENT);
    await delay(TOLD_MS);
    const pids = cluster.nodes.map(({ pid }) => pid);
    const [bytes, rates]: [number[], number[]] = [[], []];
    const cpuBefore = cpuSeconds(pids);
    let count = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const [before, startMs] = [await sentBytes(cluster), performance.now()];
      const passed = await flow.pass(MESSAGES);
      rates.push((passed * 1_000) / (performance.now() - startMs));
      // Worker threads tell what they have counted now and then.
      await delay(TOLD_MS);
      bytes.push(((await sentBytes(cluster)) - before) / passed);
      count += passed;
    }
    const cpuUs = ((cpuSeconds(pids) - cpuBefore) * 1e6) / count;
    const floor = mirrors === 0 ? BARE_BYTES : mirrors * MIRROR_BYTES;
    tellFigure({ name: `${name} bytes`, unit: 'B', samples: bytes, floor, rule: 'most', load });
    if (mirrors === 2) {
      const note = `cpu of three nodes ${cpuUs.toFixed(1)} us a message`;
      const rate = { name: `${name} rate`, unit: 'msg/s', samples: rates, floor: RATE_FLOOR };
      tellFigure({ ...rate, rule: 'least', load, note });
    }
  } finally {
    for (const wire of wires) wire.close();
    await cluster.stop();
  }
}
