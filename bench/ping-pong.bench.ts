// How many exchanges a second do two actors of one thread make: a ping, and the pong that it causes?
import { actor, createSystem, protocol, type Ref, tell } from '../dist/actors/index.js';
import { u32 } from '../dist/codec/index.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';

const EXCHANGES = 1_000_000;

const Player = protocol('player', 1, { hit: tell(u32) });
type PlayerOps = typeof Player.ops;
const env = createNodeEnvironment({ logLevel: 'warn' });
const system = createSystem(env, { name: 'bench' });

interface Args {
  other: Ref<PlayerOps> | undefined;
  ended: (() => void) | undefined;
  exchanges: number;
}
const PlayerActor = actor(Player, (_ctx, args: Args) => ({
  hit(left) {
    args.exchanges += 1;
    if (left > 0) args.other!.tell('hit', left - 1);
    else args.ended!();
  },
}));
const left: Args = { other: undefined, ended: undefined, exchanges: 0 };
const right: Args = { other: undefined, ended: undefined, exchanges: 0 };
const first = system.spawn('left', PlayerActor, left);
right.other = first;
left.other = system.spawn('right', PlayerActor, right);

await run({
  name: 'ping-pong',
  unit: 'exchanges',
  floor: 2_000_000,
  async round() {
    left.exchanges = 0;
    right.exchanges = 0;
    const ms = await timed(
      () =>
        new Promise<void>((resolve) => {
          left.ended = resolve;
          right.ended = resolve;
          first.tell('hit', 2 * EXCHANGES - 1);
        }),
    );
    if (left.exchanges !== EXCHANGES || right.exchanges !== EXCHANGES) {
      throw new Error(`${left.exchanges} and ${right.exchanges} of ${EXCHANGES} hits`);
    }
    return { count: EXCHANGES, ms };
  },
  close: () => system.shutdown({ timeoutMs: 1_000 }),
});
