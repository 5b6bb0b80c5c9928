// What destinations of each durability may lose. Knows nothing of the broker: what was answered, what was read back, and
// which node led each log when, in which life of its process, as somebody saw it from outside.
//
//   sync        nothing that was answered with acks=all; with acks=1 as `async`
//   async       only what its leader was never seen to have committed: from the answer on until his reign ended there
//               was always something in his log that was not
//   replicated  with acks=all: of that, only when somebody led afterwards, until one was seen to have committed all
//               that he had, whose process began after the send: he may not have received it;
//               with acks=1 as `async`
//   memory      only when the process that leads the log is another one than when it was sent
//
// and whatever the durability: nothing that anybody has read, short of `memory`, which is for kafka-log.ts to say.
import type { Violation } from '../scenario.ts';
import { type KafkaHistory, logName, recordsOf, type Send } from './kafka-history.ts';

export type PromisedDurability = 'sync' | 'replicated' | 'async' | 'memory';

/** A node led a log in an epoch. Epochs grow. */
export interface Reign {
  readonly epoch: number;
  /** Number of the node. */
  readonly node: number;
  /** When the process began that led. */
  readonly lifeMs: number;
  /** When it was seen first. */
  readonly fromMs: number;
  /** When it was seen last that everything in this leader's log was committed; -1: never. */
  cleanMs: number;
}

export interface DurabilityHistory {
  /** By name of a topic. */
  readonly promises: ReadonlyMap<string, PromisedDurability>;
  /** By name of a log, in the order of their epochs. */
  readonly reigns: ReadonlyMap<string, readonly Reign[]>;
}

export function checkDurability(
  history: KafkaHistory,
  { promises, reigns }: DurabilityHistory,
): Violation[] {
  const found: Violation[] = [];
  const kept = keptIds(history);
  for (const send of history.sends) {
    const durability = promises.get(send.topic);
    if (durability === undefined || !isOwed(send, kept)) continue;
    const why = unexplained(send, durability, reigns.get(logName(send)) ?? []);
    if (why === undefined) continue;
    const message = `${logName(send)}: id ${send.id}, acks=${send.acks}, is gone: ${why}`;
    found.push({ check: `durability/${durability}`, message, details: send });
  }
  return found;
}

function keptIds(history: KafkaHistory): ReadonlySet<number> {
  const kept = new Set<number>();
  for (const poll of history.finalPolls) for (const { id } of recordsOf(poll)) kept.add(id);
  return kept;
}

/** It was answered and is not there. */
function isOwed(send: Send, kept: ReadonlySet<number>): boolean {
  return send.outcome === 'acknowledged' && send.acks !== 0 && !kept.has(send.id);
}

/** Undefined: the durability names this loss. */
function unexplained(
  send: Send,
  durability: PromisedDurability,
  reigns: readonly Reign[],
): string | undefined {
  const beganMs = send.beganMs ?? 0;
  const endedMs = send.endedMs ?? beganMs;
  if (durability === 'memory') {
    const isNewLife = reigns.some(({ lifeMs }) => lifeMs > beganMs);
    return isNewLife ? undefined : 'the process that had it has not ended since';
  }
  const isForAll = send.acks === -1;
  if (durability === 'sync' && isForAll) return 'nothing of it may go';
  const answered = reigns.filter((reign, i) => {
    const next = reigns.slice(i + 1).find(({ node }) => node === reign.node);
    const isOver = next !== undefined && next.fromMs < beganMs;
    return reign.node === send.answeredBy && reign.fromMs <= endedMs && !isOver;
  });
  const doubtful = answered.find(({ cleanMs }) => cleanMs < endedMs);
  if (doubtful === undefined) return 'whoever answered has committed it';
  if (durability !== 'replicated' || !isForAll) return undefined;
  // Whoever commits all that he has decides what there is, and those before him what he was told to cut.
  const later = reigns.filter(({ epoch }) => epoch > doubtful.epoch);
  const decided = later.findIndex(({ cleanMs }) => cleanMs >= 0);
  const isForgetful = later.slice(0, decided + 1).some(({ lifeMs }) => lifeMs > beganMs);
  return isForgetful ? undefined : 'all who led until it was decided ran when it was received';
}

/** Answered sends that are not there, by durability and level: what was found out is worth something if some were lost. */
export function countGone(
  history: KafkaHistory,
  promises: ReadonlyMap<string, PromisedDurability>,
): ReadonlyMap<PromisedDurability, number> {
  const kept = keptIds(history);
  const gone = new Map<PromisedDurability, number>();
  for (const send of history.sends) {
    const durability = promises.get(send.topic);
    if (durability === undefined || !isOwed(send, kept)) continue;
    gone.set(durability, (gone.get(durability) ?? 0) + 1);
  }
  return gone;
}

/** The history as `kafka-log` may judge it: what may be taken back was promised by no more than one leader. */
export function asPromised(
  history: KafkaHistory,
  promises: ReadonlyMap<string, PromisedDurability>,
): KafkaHistory {
  const isMemory = ({ topic }: { readonly topic: string }) => promises.get(topic) === 'memory';
  const sends = history.sends
    .filter((send) => !isMemory(send))
    .map((send) => (promises.get(send.topic) === 'sync' ? send : { ...send, acks: 1 as const }));
  // Each life of a log in memory has offsets of its own.
  const polls = history.polls.filter((poll) => !isMemory(poll));
  return { ...history, sends, polls, finalPolls: history.finalPolls.filter((p) => !isMemory(p)) };
}
