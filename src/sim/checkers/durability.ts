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
// and whatever the durability: nothing that anybody has read, short of `memory`, which is for kafka-log.ts to say, as
// all that is there is. Of a log in memory it judges the life that the read-back saw; what was read of the others is
// judged here, each session by itself: `memory-altered`, `memory-order`.
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
  /** When somebody looked last before it was seen: it did not lead then. */
  readonly sinceMs?: number;
  /** When it was seen first that it leads no more. */
  untilMs?: number;
}

export interface DurabilityHistory {
  /** By name of a topic. */
  readonly promises: ReadonlyMap<string, PromisedDurability>;
  /** By name of a log, in the order of their epochs. */
  readonly reigns: ReadonlyMap<string, readonly Reign[]>;
  /** By name of a queue of which the promise changes: the weakest between two moments. */
  readonly changing?: ReadonlyMap<string, (fromMs: number, toMs: number) => PromisedDurability>;
}

export function checkDurability(
  history: KafkaHistory,
  { promises, reigns }: DurabilityHistory,
): Violation[] {
  const found: Violation[] = [];
  const kept = keptPlaces(history);
  for (const send of history.sends) {
    const durability = promises.get(send.topic);
    if (durability === undefined || !isOwed(send, kept)) continue;
    const why = unexplained(send, durability, reigns.get(logName(send)) ?? []);
    if (why === undefined) continue;
    const message = `${logName(send)}: id ${send.id}, acks=${send.acks}, is gone: ${why}`;
    found.push({ check: `durability/${durability}`, message, details: send });
  }
  found.push(...ofOtherLives(history, promises));
  return found;
}

/** Of logs in memory: records are as they were sent, and offsets grow within a session. */
function* ofOtherLives(
  { sends, polls }: KafkaHistory,
  promises: ReadonlyMap<string, PromisedDurability>,
): Generator<Violation> {
  const byId = new Map(sends.map((send) => [send.id, send]));
  const lastOf = new Map<string, number>();
  for (const poll of polls) {
    if (promises.get(poll.topic) !== 'memory') continue;
    const log = logName(poll);
    const session = `${poll.consumer}/${log}/${poll.session}`;
    for (const { offset, id, bodyHash } of recordsOf(poll)) {
      const send = byId.get(id);
      const isSent = send !== undefined && logName(send) === log && send.outcome !== 'failed';
      const where = `${log}@${offset}: id ${id}`;
      if (!isSent)
        yield { check: 'durability/memory-altered', message: `${where} was not sent so` };
      else if (send.bodyHash !== bodyHash) {
        yield { check: 'durability/memory-altered', message: `${where} has another body` };
      }
      if (offset <= (lastOf.get(session) ?? -1)) {
        yield { check: 'durability/memory-order', message: `${where} comes again in ${session}` };
      }
      lastOf.set(session, offset);
    }
  }
}

const placeOf = (log: string, id: number): string => `${log}#${id}`;

/** What was read back, by log: what stands in another one is not kept. */
function keptPlaces(history: KafkaHistory): ReadonlySet<string> {
  const kept = new Set<string>();
  for (const poll of history.finalPolls) {
    for (const { id } of recordsOf(poll)) kept.add(placeOf(logName(poll), id));
  }
  return kept;
}

/** It was answered and is not there. */
function isOwed(send: Send, kept: ReadonlySet<string>): boolean {
  const isAnswered = send.outcome === 'acknowledged' && send.acks !== 0;
  return isAnswered && !kept.has(placeOf(logName(send), send.id));
}

/** Undefined: the durability names this loss. */
function unexplained(
  send: Send,
  durability: PromisedDurability,
  reigns: readonly Reign[],
): string | undefined {
  const beganMs = send.beganMs ?? 0;
  const endedMs = send.endedMs ?? beganMs;
  const isForAll = send.acks === -1;
  return unexplainedLoss({ durability, isForAll, beganMs, endedMs }, reigns, (reign, i) => {
    const next = reigns.slice(i + 1).find(({ node }) => node === reign.node);
    const isOver = next !== undefined && next.fromMs < beganMs;
    return reign.node === send.answeredBy && reign.fromMs <= endedMs && !isOver;
  });
}

export interface Answered {
  readonly durability: PromisedDurability;
  /** Not of the leader alone. */
  readonly isForAll: boolean;
  readonly beganMs: number;
  readonly endedMs: number;
}

/** What `durability` does not name of the loss of something that was answered; undefined: it names it. */
export function unexplainedLoss(
  { durability, isForAll, beganMs, endedMs }: Answered,
  reigns: readonly Reign[],
  mayHaveAnswered: (reign: Reign, index: number) => boolean,
): string | undefined {
  if (durability === 'memory') {
    const isNewLife = reigns.some(({ lifeMs }) => lifeMs > beganMs);
    return isNewLife ? undefined : 'the process that had it has not ended since';
  }
  if (durability === 'sync' && isForAll) return 'nothing of it may go';
  const doubtful = reigns.filter(
    (reign, i) => reign.cleanMs < endedMs && mayHaveAnswered(reign, i),
  );
  if (doubtful.length === 0) return 'whoever answered has committed it';
  if (durability !== 'replicated' || !isForAll) return undefined;
  // Whoever commits all that he has decides what there is, and those before him what he was told to cut.
  const isForgotten = doubtful.some((reign) => {
    const later = reigns.filter(({ epoch }) => epoch > reign.epoch);
    const decided = later.findIndex(({ cleanMs }) => cleanMs >= 0);
    return later.slice(0, decided + 1).some(({ lifeMs }) => lifeMs > beganMs);
  });
  return isForgotten ? undefined : 'all who led until it was decided ran when it was received';
}

/** Answered sends that are not there, by durability and level: what was found out is worth something if some were lost. */
export function countGone(
  history: KafkaHistory,
  promises: ReadonlyMap<string, PromisedDurability>,
): ReadonlyMap<PromisedDurability, number> {
  const kept = keptPlaces(history);
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
  const kept = keptPlaces(history);
  const isMemory = ({ topic }: { readonly topic: string }) => promises.get(topic) === 'memory';
  const sends = history.sends.map((send) => {
    // Of a log in memory what is there is owed its place and its order. Sent again, its answer may be of another life.
    const isThere = send.attempts === 1 && kept.has(placeOf(logName(send), send.id));
    const isFixed = promises.get(send.topic) === 'sync' || (isMemory(send) && isThere);
    return isFixed ? send : { ...send, acks: 1 as const };
  });
  // Each life of a log in memory has offsets of its own.
  return { ...history, sends, polls: history.polls.filter((poll) => !isMemory(poll)) };
}
