// Mistakes that the simulator can switch on by name, to prove that it would find them. Nowhere else:
// outside a simulation `buggify` is always false, so every rule holds.
import type { ActorFaults } from '../actors/durable/event-source.ts';
import type { ReadFaults } from '../broker/access/stream-log.ts';
import type { QueueFaults } from '../broker/view/config.ts';
import { VIEW_DEFAULTS, type ViewsConfig } from '../broker/view/views.ts';
import type { Environment } from '../env/environment.ts';
import type { Faults } from '../replication/types.ts';
import type { CompactionFaults } from '../storage/compaction/pass.ts';

const OF_REPLICATION: readonly (readonly [string, keyof Faults])[] = [
  ['bug.ack-before-sync', 'ackBeforeDurable'],
  ['bug.hw-from-stale-epoch', 'hwFromStaleEpoch'],
  ['bug.truncate-below-hw', 'truncateBelowCommitted'],
  ['bug.same-epoch-after-restart', 'sameEpochAfterRestart'],
  ['bug.start-before-commit', 'startBeforeCommit'],
  ['bug.replica-reads-to-its-end', 'readToEnd'],
  ['bug.answer-before-commit', 'answerAtOnce'],
  ['bug.answer-unreceived', 'answerUnreceived'],
  ['bug.answer-unstored', 'answerUnstored'],
  ['bug.answer-unkept', 'answerUnkept'],
  ['bug.all-transient', 'allTransient'],
  ['bug.join-without-holding', 'noHoldRule'],
  ['bug.leave-before-change', 'leaveBeforeChange'],
  ['bug.commit-under-old-set', 'commitUnderOldSetOnly'],
  ['bug.no-recovery-read', 'noRecoveryRead'],
  ['bug.hear-old-replicas', 'hearOldReplicas'],
  ['bug.move-without-end', 'moveWithoutEnd'],
];

const OF_QUEUES: readonly (readonly [string, keyof QueueFaults])[] = [
  ['bug.forget-delivery-count', 'forgetReturns'],
  ['bug.drop-lease', 'dropLease'],
  ['bug.ack-before-durable', 'confirmEarly'],
];

const OF_STREAMS: readonly (readonly [string, keyof QueueFaults])[] = [
  ['bug.stream-stores-again', 'noDedup'],
  ['bug.drop-lease', 'dropLease'],
  ['bug.ack-ignores-holder', 'ackIgnoresHolder'],
  ['bug.give-twice', 'giveTwice'],
];

const OF_READERS: readonly (readonly [string, keyof ReadFaults])[] = [
  ['bug.stream-reads-again', 'stepBack'],
];

const OF_COMPACTION: readonly (readonly [string, keyof CompactionFaults])[] = [
  ['bug.tombstones-go-at-once', 'tombstonesGoAtOnce'],
  ['bug.compaction-drops-newest', 'dropsNewest'],
  ['bug.drop-needed', 'dropsNeeded'],
];

const OF_ACTORS: readonly (readonly [string, keyof ActorFaults])[] = [
  ['bug.decide-again', 'forgetAnswers'],
  ['bug.answer-at-once', 'answerAtOnce'],
  ['bug.trust-clocks', 'trustClocks'],
  ['bug.fire-twice', 'fireTwice'],
];

/** The rules of replication to take away in this run, or undefined: none. */
export function knownMistakes(env: Environment): Faults | undefined {
  return taken(env, OF_REPLICATION);
}

/** The same of compaction. */
export function knownCompactionMistakes(env: Environment): CompactionFaults | undefined {
  return taken(env, OF_COMPACTION);
}

/** The same of queues. */
export function knownQueueMistakes(env: Environment): QueueFaults | undefined {
  return taken(env, OF_QUEUES);
}

/** How groups share the log of a stream, with the mistakes of this run. */
export function viewsWithMistakes(env: Environment): ViewsConfig {
  const faults = taken(env, OF_STREAMS);
  const givesCommitted = !env.buggify('bug.give-early');
  const mistakes = faults === undefined ? {} : { faults };
  return {
    ...VIEW_DEFAULTS,
    engine: { ...VIEW_DEFAULTS.engine, givesCommitted, ...mistakes },
    forgetsAcknowledged: env.buggify('bug.forget-acknowledged'),
  };
}

/** The same of those who read streams. */
export function knownReadMistakes(env: Environment): ReadFaults | undefined {
  return taken(env, OF_READERS);
}

/** The same of durable actors of applications. */
export function knownActorMistakes(env: Environment): ActorFaults {
  return taken(env, OF_ACTORS) ?? {};
}

function taken<K extends string>(
  env: Environment,
  known: readonly (readonly [string, K])[],
): { readonly [Rule in K]?: true } | undefined {
  const rules = known.filter(([site]) => env.buggify(site)).map(([, rule]) => [rule, true]);
  return rules.length === 0 ? undefined : Object.fromEntries(rules);
}
