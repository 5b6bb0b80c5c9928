// A process of the tests: everything that the runtime promises here fails, and nobody looks. With `own` as
// argument the last failure is of a promise that the program made itself.
import { actor, ask, createSystem, protocol, tell } from '../../../dist/actors/index.js';
import { none, u32 } from '../../../dist/codec/index.js';
import { createActorEnvironment } from '../../../dist/doors/actor-environment.js';

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const Target = protocol('target', 1, {
  take: tell(none),
  never: ask(none, u32),
  fail: ask(none, u32),
  reject: ask(none, u32),
  unencodable: ask(none, u32),
  pipe: tell(none),
  result: tell(u32),
});
const one = { maxRestarts: 0, windowMs: 1, backoff: { minMs: 1, maxMs: 1, jitter: 0 } };
const resume = { ...one, decide: () => 'resume' };
const TargetActor = actor(
  Target,
  (ctx) => ({
    take: nothing,
    never: () => ctx.later(),
    fail: () => {
      throw new Error('failed on purpose');
    },
    reject: async () => {
      throw new Error('rejected on purpose');
    },
    unencodable: () => 'no number',
    pipe() {
      ctx.pipe(Promise.reject(new Error('piped on purpose')), 'result', () => 1);
      ctx.pipe(Promise.reject(new Error('piped on purpose')), 'result', () => {
        throw new Error('mapped on purpose');
      });
    },
    result: nothing,
  }),
  { mailbox: { capacity: 4, overflow: 'reject' }, supervision: resume },
);

const system = createSystem(createActorEnvironment({ log: quiet }), {
  name: 'unawaited',
  threadCount: 2,
  strict: true,
  limits: { asksMax: 8 },
});
const settle = () => new Promise((resolve) => setTimeout(resolve, 30));
const spawn = (name) => system.spawn(name, TargetActor, undefined);
const soon = { timeoutMs: 5 };
const far = { timeoutMs: 60_000 };

const target = spawn('target');
target.ask('take', undefined, far);
target.ask('missing', undefined, far);
target.ask('never', undefined, soon);
target.ask('never', undefined, { ...far, signal: AbortSignal.abort() });
const later = new AbortController();
target.ask('never', undefined, { ...far, signal: later.signal });
await settle();
later.abort();
for (const op of ['fail', 'reject', 'unencodable']) {
  target.ask(op, undefined, far);
  await settle();
}
target.tell('pipe', undefined);
await settle();

const full = spawn('full');
for (let i = 0; i < 6; i += 1) full.ask('never', undefined, far);
const room = new AbortController();
full.ready(room.signal);
full.ready(AbortSignal.abort());
full.ready();
room.abort();
await settle();
for (let i = 0; i < 10; i += 1) target.ask('never', undefined, soon);
await settle();
system.wellKnown(Target, { thread: 1, slot: 9 }).ask('never', undefined, far);
system.wellKnown(Target, { thread: 0, slot: 9 }).ask('never', undefined, far);
system.wellKnown(Target, { thread: 0, slot: 9 }).ready(AbortSignal.abort());
const gone = spawn('gone');
gone.ask('never', undefined, far);
await settle();

const { asks } = system;
await system.shutdown({ timeoutMs: 5_000 });
gone.ask('never', undefined, soon);
await settle();
if (process.argv[2] === 'own') {
  target.ask('never', undefined, far).then(() => undefined);
  await settle();
}
console.log(JSON.stringify({ ...asks.counters, open: asks.openCount }));
