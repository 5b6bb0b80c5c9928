// How much heap does an actor take that has handled a message and now waits? 100,000 of them, and what is
// left when they have stopped.
import v8 from 'node:v8';
import vm from 'node:vm';
import { actor, createSystem, protocol, tell } from '../dist/actors/index.js';
import { none } from '../dist/codec/index.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { machineLoad, tellFigure } from './lib/figure.ts';

const ACTORS = 100_000;
const ROUNDS = 3;
const LEFT_BYTES_MAX = 200;

const load = machineLoad();
v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

const Idler = protocol('idler', 1, { wake: tell(none) });
const env = createNodeEnvironment({ logLevel: 'warn' });
const system = createSystem(env, { name: 'bench' });
let awake = 0;

class IdlerState {
  woken = 0;

  wake(): void {
    this.woken += 1;
    awake += 1;
  }
}
const IdlerActor = actor(Idler, (_ctx, _args: undefined) => new IdlerState());

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const samples: number[] = [];
let left = 0;
for (let round = 0; round <= ROUNDS; round += 1) {
  awake = 0;
  const before = heapBytes();
  let refs = Array.from({ length: ACTORS }, (_, i) =>
    system.spawn(`i${round}-${i}`, IdlerActor, undefined),
  );
  for (const ref of refs) ref.tell('wake', undefined);
  while (awake < ACTORS) await turn();
  const each = (heapBytes() - before) / ACTORS;
  for (const ref of refs) system.sendStop(ref.id);
  refs = [];
  for (let i = 0; i < 1_000; i += 1) await turn();
  left = (heapBytes() - before) / ACTORS;
  // The first round also pays for tables that are kept.
  if (round > 0) samples.push(each);
}
tellFigure({
  name: 'idle-actor-heap',
  unit: 'bytes',
  samples,
  floor: 1024,
  rule: 'most',
  load,
  note: `${Math.round(left)} bytes each are left when all have stopped`,
});
if (left > LEFT_BYTES_MAX) throw new Error(`${Math.round(left)} bytes of every actor are left`);
await system.shutdown({ timeoutMs: 1_000 });
