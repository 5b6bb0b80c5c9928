// How long does `callboard dev` take from the start of its process until three node processes are ready,
// in a fresh folder, with default options?
import { delay, startDev } from '../tools/lib/dev-cluster.mjs';
import { machineLoad, tellFigure } from './lib/figure.ts';

const ROUNDS = 7;

const load = machineLoad();
const samples: number[] = [];
for (let round = 0; round <= ROUNDS; round += 1) {
  const cluster = await startDev({ shards: 1 });
  // The first start reads the program from the disk.
  if (round > 0) samples.push(cluster.readyMs);
  await cluster.stop();
  await delay(200);
}
tellFigure({
  name: 'ready-three-processes',
  unit: 'ms',
  samples,
  floor: 1_500,
  rule: 'most',
  load,
});
