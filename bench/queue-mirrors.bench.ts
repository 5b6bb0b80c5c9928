// How many bytes do nodes send each other for a message of 1 KB through a durable queue with 0, 1 and 2 mirrors,
// published with confirms and consumed with acknowledgements on the node that has the queue? And how many messages a
// second are that, three processes on one machine? Bytes are what the nodes' own links have written, heartbeats and all.
import { type DevCluster, delay, startDev } from '../tools/lib/dev-cluster.mjs';
import { AmqpWire } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { countersOf } from './lib/node-api.ts';
import { Flow, leaderUrl } from './lib/queue-flow.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const MESSAGES = 20_000;
const PER_SEGMENT = 64;
const WINDOW = 192;
const ROUNDS = 5;
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
    const flow = await Flow.open(await connect(url), await connect(url), {
      queue: name,
      window: WINDOW,
    });
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
