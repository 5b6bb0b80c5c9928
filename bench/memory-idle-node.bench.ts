// How much resident memory does an idle node process have, ten seconds after it is ready, with the
// default options of `dev`? The largest of three nodes, in three starts.
import { delay, startDev } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';
import { residentBytes } from './lib/server-cpu.ts';

const ROUNDS = 3;
const IDLE_MS = 10_000;

const load = machineLoad();
const samples: number[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const cluster = await startDev({ shards: 1 });
  await delay(IDLE_MS);
  samples.push(Math.max(...cluster.nodes.map(({ pid }) => residentBytes(pid))) / 1e6);
  await cluster.stop();
}
tellFigure({ name: 'memory-idle-node', unit: 'MB', samples, floor: 100, rule: 'most', load });
