// How many actors a second are spawned, handle one message and stop themselves?
import { actor, createSystem, protocol, tell } from '../dist/actors/index.js';
import { none } from '../dist/codec/index.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';

const ACTORS = 200_000;
/** Alive at once at most. */
const BATCH = 500;

const Fly = protocol('fly', 1, { live: tell(none) });
const env = createNodeEnvironment({ logLevel: 'warn' });
const system = createSystem(env, { name: 'bench' });
let lived = 0;
const FlyActor = actor(Fly, (ctx, _args: undefined) => ({
  live() {
    lived += 1;
    ctx.stop();
  },
}));
let spawned = 0;
const turn = () => new Promise<void>((resolve) => env.runQueue.soon(resolve));

await run({
  name: 'spawn-stop',
  unit: 'actors',
  floor: 300_000,
  async round() {
    lived = 0;
    const ms = await timed(async () => {
      for (let made = 0; made < ACTORS; made += BATCH) {
        for (let i = 0; i < BATCH; i += 1) {
          spawned += 1;
          system.spawn(`fly-${spawned}`, FlyActor, undefined).tell('live', undefined);
        }
        while (lived < made + BATCH) await turn();
      }
    });
    return { count: ACTORS, ms };
  },
  close: () => system.shutdown({ timeoutMs: 1_000 }),
});
