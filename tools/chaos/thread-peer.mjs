// What every thread of `threads.mjs` runs: an actor that sends to all others, asks them, writes down what it did and
// what reached it, and dies when it is told to.
import {
  actor,
  ask,
  bytes,
  none,
  protocol,
  record,
  tell,
  u32,
  utf8,
} from '../../dist/doors/actors.js';
import { Journal, KIND, OUTCOME } from './thread-ledger.mjs';

const head = { from: u32, life: u32, number: u32 };

export const Peer = protocol('chaos', 1, {
  take: tell(record({ ...head, body: bytes })),
  echo: ask(record(head), record(head)),
  send: tell(none),
  die: tell(utf8),
  /** Sends no more; answered when every ask of its own has ended. */
  hush: ask(none, none),
  /** Answered when everything that it had sent before has arrived. */
  settle: ask(none, none),
});

export const SLOT = 10;
const BURST = 8;
const PACE_MS = 2;
const ASKS_OPEN_MAX = 64;
/** Far beyond any death: an ask that takes so long was forgotten. */
const ASK_TIMEOUT_MS = 20_000;
const LARGE_ONE_IN = 64;
const LARGE_BYTES = 60_000;
const SMALL_BYTES = 200;
const SLOW_ONE_IN = 4_000;

const OUTCOMES = {
  ACTOR_THREAD_LOST: OUTCOME.lost,
  ACTOR_STOPPED: OUTCOME.lost,
  ACTOR_UNREACHABLE: OUTCOME.refused,
  ACTOR_GONE: OUTCOME.refused,
  ACTOR_FULL: OUTCOME.refused,
  ACTOR_ASK_LIMIT: OUTCOME.refused,
  ACTOR_ASK_TIMEOUT: OUTCOME.timeout,
};

/** The ways of a thread to end itself. */
const DEATHS = {
  throw: () =>
    queueMicrotask(() => {
      throw new Error('chaos: thrown');
    }),
  reject: () => void Promise.reject(new Error('chaos: rejected')),
  exit: () => process.exit(3),
  overflow: () =>
    queueMicrotask(function deeper() {
      return deeper() + 1;
    }),
  memory() {
    for (const hoard = []; ; ) hoard.push(new Array(10_000).fill(hoard.length));
  },
  spin() {
    for (;;);
  },
  wait: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
};

/** Asks until there was room for it. */
export async function askFirmly(ref, op, timeoutMs) {
  for (;;) {
    try {
      return await ref.ask(op, undefined, { timeoutMs });
    } catch (error) {
      if (error.code !== 'ACTOR_FULL') throw error;
      await ref.ready();
    }
  }
}

function isBodyOf(body, number) {
  const fill = number & 0xff;
  return body.every((byte) => byte === fill);
}

function spin(clock, ms) {
  for (const end = clock.monotonicMs() + ms; clock.monotonicMs() < end; );
}

/** `threads`: how many there are; `memory`: of the journal of this life. */
export const PeerActor = actor(
  Peer,
  (ctx, { system, thread, life, threads, memory }) => {
    const journal = new Journal(memory);
    const peers = Array.from({ length: threads }, (_, each) => each)
      .filter((each) => each !== thread)
      .map((each) => ({
        thread: each,
        ref: system.wellKnown(Peer, { thread: each, slot: SLOT }),
        tells: 0,
        asks: 0,
      }));
    let isHushed = false;
    let open = 0;
    const whenQuiet = [];
    ctx.schedule('send', PACE_MS, 'send', undefined);

    const tellSome = (peer) => {
      for (let n = 0; n < BURST; n += 1) {
        const number = peer.tells + 1;
        const isLarge = ctx.random.below(LARGE_ONE_IN) === 0;
        const size = ctx.random.below(isLarge ? LARGE_BYTES : SMALL_BYTES);
        const body = new Uint8Array(size).fill(number);
        if (peer.ref.offer('take', { from: thread, life, number, body }) !== 'accepted') return;
        peer.tells = number;
        journal.add(KIND.sent, peer.thread, 0, number);
      }
    };
    const ended = () => {
      open -= 1;
      if (open > 0) return;
      for (const answer of whenQuiet.splice(0)) answer();
    };
    const askOne = async (peer) => {
      peer.asks += 1;
      const question = { from: thread, life, number: peer.asks };
      journal.add(KIND.asked, peer.thread, 0, question.number);
      open += 1;
      let outcome;
      try {
        const reply = await peer.ref.ask('echo', question, { timeoutMs: ASK_TIMEOUT_MS });
        const isRight = Object.keys(head).every((field) => reply[field] === question[field]);
        outcome = isRight ? OUTCOME.ok : OUTCOME.wrongReply;
      } catch (error) {
        outcome = OUTCOMES[error.code] ?? OUTCOME.other;
      }
      journal.add(KIND.settled, peer.thread, outcome, question.number);
      ended();
    };

    return {
      take({ from, life: theirs, number, body }) {
        journal.add(isBodyOf(body, number) ? KIND.took : KIND.wrong, from, theirs, number);
        if (ctx.random.below(SLOW_ONE_IN) === 0) spin(ctx.clock, 5);
      },
      echo(question) {
        journal.add(KIND.answered, question.from, question.life, question.number);
        if (ctx.random.below(4) > 0) return question;
        const later = ctx.later();
        system.deadlines.after(ctx.random.below(20), () => later.ok(question));
        return later;
      },
      send() {
        if (isHushed) return;
        ctx.schedule('send', PACE_MS, 'send', undefined);
        for (const peer of peers) {
          tellSome(peer);
          if (open < ASKS_OPEN_MAX) void askOne(peer);
        }
      },
      die: (how) => DEATHS[how](),
      hush() {
        isHushed = true;
        if (open === 0) return;
        const later = ctx.later();
        whenQuiet.push(() => later.ok(undefined));
        return later;
      },
      settle() {
        // Not an async handler, which would hold up what the others ask meanwhile.
        const later = ctx.later();
        // An ask stands behind the tells that went the same way before it.
        const all = peers.map((peer) => askFirmly(peer.ref, 'hush', ASK_TIMEOUT_MS));
        Promise.all(all).then(() => later.ok(undefined), later.fail.bind(later));
        return later;
      },
    };
  },
  { mailbox: { capacity: 1_000_000, overflow: 'reject' } },
);
