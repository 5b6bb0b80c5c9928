// The worker of the thread tests: one actor at a well-known slot that receives, answers, sends on and
// dies in every way a thread can die. Plain JavaScript over dist, as workers load compiled code.
import Module from 'node:module';
import { workerData } from 'node:worker_threads';
import { actor, ask, protocol, tell } from '../../../dist/actors/index.js';
import { joinThreadGroup } from '../../../dist/actors/threads/member.js';
import { bool, bytes, none, record, u32, utf8 } from '../../../dist/codec/index.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';

const Peer = protocol('peer', 1, {
  take: tell(record({ sequence: u32, body: bytes })),
  report: ask(none, record({ taken: u32, wrong: u32, byteCount: u32 })),
  echo: ask(bytes, bytes),
  sendTo: tell(record({ thread: u32, count: u32, sizeMax: u32 })),
  die: tell(utf8),
  never: ask(none, u32),
  cpuWakes: ask(none, u32),
  askMain: ask(none, u32),
  footprint: ask(none, record({ ports: u32, hasComlink: bool })),
  afterMs: ask(u32, none),
  due: tell(none),
});

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const leveled = {
  ...quiet,
  level: 'info',
  setLevel(level) {
    this.level = level;
  },
};
const env = createNodeEnvironment({
  log: workerData.data.app?.hasLevels === true ? leveled : quiet,
});
const member = joinThreadGroup(env, {
  protocols: member_protocols(),
  ...(env.threads.boot.data.app?.limits === undefined
    ? {}
    : { limits: env.threads.boot.data.app.limits }),
});

function member_protocols() {
  const wrong = env.threads.boot.data.app?.mode === 'wrong-protocol';
  return wrong ? [protocol('peer', 2, { take: tell(none) })] : [Peer];
}

if (member.app?.mode === 'boot-throw') throw new Error('no boot today');
if (member.app?.mode === 'boot-spin') for (;;);

/** Words [has arrived in `die`, may die]: what happens in between happens to a thread that takes nothing. */
const gate = member.app?.gate;

/** What makes a heap snapshot take its time. */
globalThis.hoard = Array.from({ length: member.app?.hoard ?? 0 }, (_, at) => ({ at: `${at}` }));

/** Work that is no actor's and that lets the loop come round. */
function busy() {
  stall(20);
  setImmediate(busy);
}

/** A busy wait: the stall of a thread that does something else. */
function stall(ms) {
  const end = env.clock.monotonicMs() + ms;
  while (env.clock.monotonicMs() < end);
}

const PeerActor = actor(
  Peer,
  (ctx) => {
    let taken = 0;
    let wrong = 0;
    let byteCount = 0;
    let answer;
    const send = async ({ thread, count, sizeMax }) => {
      const to = member.system.wellKnown(Peer, { thread, slot: 10 });
      for (let sequence = 0; sequence < count; sequence += 1) {
        const body = new Uint8Array(ctx.random.below(sizeMax + 1)).fill(sequence);
        while (to.offer('take', { sequence, body }) !== 'accepted') await to.ready();
      }
    };
    return {
      take({ sequence, body }) {
        if (sequence !== taken) wrong += 1;
        for (const byte of body) if (byte !== (sequence & 0xff)) wrong += 1;
        taken += 1;
        if (member.app?.slowMs !== undefined) stall(member.app.slowMs);
        byteCount += body.length;
        if (ctx.random.below(2000) === 0) stall(1);
      },
      report: () => ({ taken, wrong, byteCount }),
      echo: (body) => body,
      sendTo(order) {
        void send(order);
      },
      die(how) {
        if (how === 'busy') setImmediate(busy);
        if (gate !== undefined) {
          Atomics.store(gate, 0, 1);
          Atomics.wait(gate, 1, 0);
        }
        if (how === 'throw')
          queueMicrotask(() => {
            throw new Error('thrown on purpose');
          });
        if (how === 'reject') void Promise.reject(new Error('rejected on purpose'));
        if (how === 'exit') process.exit(7);
        if (how === 'spin') for (;;);
        if (how === 'overflow')
          queueMicrotask(function deeper() {
            return deeper() + 1;
          });
        if (how === 'memory') for (const hoard = []; ; ) hoard.push(new Array(10_000).fill(how));
        if (how === 'wait') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      },
      never: () => ctx.later(),
      askMain() {
        const later = ctx.later();
        const main = member.system.wellKnown(Peer, { thread: 0, slot: 11 });
        main
          .ask('askMain', undefined, { timeoutMs: 20_000 })
          .then(later.ok.bind(later), later.fail.bind(later));
        return later;
      },
      afterMs(ms) {
        answer = ctx.later();
        ctx.schedule('due', ms, 'due', undefined);
        return answer;
      },
      due: () => answer.ok(undefined),
      footprint: () => ({
        ports: process.getActiveResourcesInfo().filter((each) => each === 'MessagePort').length,
        hasComlink: Object.keys(Module._cache).some((each) => each.includes('comlink')),
      }),
      cpuWakes: () => member.system.turn.count,
    };
  },
  { mailbox: { capacity: 100_000, overflow: 'reject' } },
);

member.system.spawnWellKnown(10, 'peer', PeerActor, undefined);
member.onMessage((body) => member.post({ echoed: body }));
env.threads.onConnection((connection, tag, head) => {
  connection.start({ onBytes: (view) => connection.write(view.slice()), onClose: nothing });
  const hello = new TextEncoder().encode(`${env.threads.boot.index}:${tag}:`);
  connection.write(hello);
  connection.write(head);
});
if (member.app?.mode !== 'never-ready') member.ready();
