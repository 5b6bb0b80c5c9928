// How many changes a second does the metadata of three nodes on this machine take, each committed by Raft, durable on a
// majority and applied on the node that asked before it is answered: bindings made and removed, and exclusive queues
// declared and deleted?
import { type DevCluster, startDev } from '../tools/lib/dev-cluster.mjs';
import { AmqpWire } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { controller } from './lib/node-api.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const LANES = 128;
const ROUNDS = 5;
const ROUND_MS = 3_000;
const PROPOSALS_FLOOR = 5_000;
const QUEUES_FLOOR = 1_000;
const EXCHANGE = 'amq.topic';
const QUEUE = 'bound';

interface Rate {
  readonly name: string;
  readonly floor: number;
  /** One turn of a lane; answers how many of what is counted were done. */
  turn(wire: AmqpWire, lane: number, count: number): Promise<number>;
}

async function measure(cluster: DevCluster, wires: readonly AmqpWire[], rate: Rate, load: number) {
  const pids = cluster.nodes.map(({ pid }) => pid);
  const samples: number[] = [];
  let [done, counts, cpuBefore] = [0, 0, 0];
  // The first round compiles.
  for (let round = 0; round <= ROUNDS; round += 1) {
    if (round === 1) [cpuBefore, counts] = [cpuSeconds(pids), 0];
    done = 0;
    const startMs = performance.now();
    const lanes = wires.map(async (wire, lane) => {
      for (let count = 0; performance.now() - startMs < ROUND_MS; count += 1) {
        const did = await rate.turn(wire, lane, round * 1_000_000 + count);
        done += did;
      }
    });
    await Promise.all(lanes);
    counts += done;
    if (round > 0) samples.push((done * 1_000) / (performance.now() - startMs));
  }
  const cpuUs = ((cpuSeconds(pids) - cpuBefore) * 1e6) / counts;
  const note = `cpu of three nodes ${cpuUs.toFixed(0)} us each, ${LANES} in flight`;
  tellFigure({ ...rate, unit: '1/s', samples, rule: 'least', load, note });
}

const load = machineLoad();
const cluster = await startDev({ nodes: 3, shards: 1 });
const wires: AmqpWire[] = [];
try {
  const { amqp } = await controller(cluster);
  for (let i = 0; i < LANES; i += 1) wires.push(await AmqpWire.connect(amqp));
  await wires[0]!.declareQueue(QUEUE, true);
  const proposals = {
    name: 'metadata-rates bindings',
    floor: PROPOSALS_FLOOR,
    async turn(wire: AmqpWire, lane: number, count: number) {
      await wire.bind(QUEUE, EXCHANGE, `${lane}.${count}`);
      await wire.unbind(QUEUE, EXCHANGE, `${lane}.${count}`);
      return 2;
    },
  };
  await measure(cluster, wires, proposals, load);
  const queues = {
    name: 'metadata-rates exclusive',
    floor: QUEUES_FLOOR,
    async turn(wire: AmqpWire, lane: number, count: number) {
      await wire.declareExclusive(`x.${lane}.${count}`);
      await wire.deleteQueue(`x.${lane}.${count}`);
      return 1;
    },
  };
  await measure(cluster, wires, queues, load);
} finally {
  for (const wire of wires) wire.close();
  await cluster.stop();
}
