// How many messages of 1 KB a second does a quorum queue on three nodes of this machine confirm, each durable on a
// majority, while a consumer takes and acknowledges them? Published 64 to a write with a window of 192, and of 2,048.
import { startDev } from '../tools/lib/dev-cluster.mjs';
import { AmqpWire } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { Flow, leaderUrl } from './lib/queue-flow.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const PER_SEGMENT = 64;
const MESSAGES = 10_000;
const ROUNDS = 5;
const RATE_FLOOR = 20_000;
const REPLICAS = 3;

for (const window of [192, 2_048]) {
  const load = machineLoad();
  const name = window === 192 ? 'quorum-queue' : `quorum-queue ${window}`;
  const cluster = await startDev({ nodes: 3, shards: 1 });
  const wires: AmqpWire[] = [];
  const connect = async (url: string): Promise<AmqpWire> => {
    const wire = await AmqpWire.connect(url);
    wires.push(wire);
    return wire;
  };
  try {
    const declaring = await connect(cluster.nodes[0]!.amqp);
    await declaring.declareQueue(name, true, 'quorum');
    const url = await leaderUrl(cluster, name, REPLICAS);
    const flow = await Flow.open(await connect(url), await connect(url), { queue: name, window });
    await flow.pass(MESSAGES);
    const pids = cluster.nodes.map(({ pid }) => pid);
    const rates: number[] = [];
    const cpuBefore = cpuSeconds(pids);
    let count = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const startMs = performance.now();
      const passed = await flow.pass(MESSAGES);
      rates.push((passed * 1_000) / (performance.now() - startMs));
      count += passed;
    }
    const cpuUs = ((cpuSeconds(pids) - cpuBefore) * 1e6) / count;
    const note = `cpu of three nodes ${cpuUs.toFixed(1)} us a message, ${PER_SEGMENT} to a write`;
    const figure = { name, unit: 'msg/s', samples: rates, floor: RATE_FLOOR };
    tellFigure({ ...figure, rule: 'least', load, note });
  } finally {
    for (const wire of wires) wire.close();
    await cluster.stop();
  }
}
