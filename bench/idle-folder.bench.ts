// How much of the disk does an idle node take: the blocks of its data folder, some seconds after a start with one shard
// in which one message was published to a durable queue and confirmed?
import { execFileSync } from 'node:child_process';
import { delay, startDev } from '../tools/lib/dev-cluster.mjs';
import { AmqpWire, Method, publishFrames } from './lib/amqp-wire.ts';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { cpuSeconds } from './lib/server-cpu.ts';

const ROUNDS = 3;
const IDLE_MS = 5_000;
const QUEUE = 'idle-folder';

/** Of the folder, its files and their last blocks, in MB. */
function blocksMb(folder: string): number {
  const said = execFileSync('du', ['-s', '--block-size=512', folder], { encoding: 'utf8' });
  const blocks = Number(said.split('\t')[0]);
  if (!(blocks > 0)) throw new Error(`du said ${said}`);
  return (blocks * 512) / 1e6;
}

/** One message, confirmed: the folder belongs to a node that works. */
async function publishOne(url: string): Promise<void> {
  const wire = await AmqpWire.connect(url);
  await wire.declareQueue(QUEUE, true);
  await wire.confirmSelect();
  await wire.call(publishFrames(QUEUE, 100, true), Method.ack);
  wire.close();
}

const load = machineLoad();
const samples: number[] = [];
let cpu = 0;
for (let round = 0; round < ROUNDS; round += 1) {
  const cluster = await startDev({ nodes: 1, shards: 1 });
  try {
    await publishOne(cluster.nodes[0]!.amqp);
    const pids = cluster.nodes.map(({ pid }) => pid);
    const before = cpuSeconds(pids);
    await delay(IDLE_MS);
    cpu += cpuSeconds(pids) - before;
    samples.push(blocksMb(cluster.data));
  } finally {
    await cluster.stop();
  }
}
const percent = (cpu / ((ROUNDS * IDLE_MS) / 1_000)) * 100;
tellFigure({
  name: 'idle-folder',
  unit: 'MB',
  samples,
  floor: 64,
  rule: 'most',
  load,
  note: `server cpu ${percent.toFixed(1)} % of a core`,
});
