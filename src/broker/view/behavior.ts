// A queue as a durable behavior: a view on its own log. Messages are records that wait until somebody has
// acknowledged them. One engine for consumers that hold messages until they settle them and for those that
// hold them for a time. Pure and synchronous: the replicated half is queue-state.ts, the leader's soft half
// local.ts. It knows no client protocol, and of records only whether they can be read (admission.ts).
import type { Decision, DurableBehavior } from '../../actors/durable/behavior.ts';
import { refuseAppended } from './admission.ts';
import type { QueueConfig } from './config.ts';
import { decideOnView, demoteView, goOn, isIdle } from './engine.ts';
import { QueueLocal } from './local.ts';
import { applyQueueFrame, QueueState, restoreQueue, snapshotQueue } from './queue-state.ts';

const NOTHING: Decision = {};

export const QUEUE_KIND = 'queue';

/**
 * @example
 * const behavior = createQueueBehavior(QUEUE_DEFAULTS);
 */
export function createQueueBehavior(config: QueueConfig): DurableBehavior<QueueState, QueueLocal> {
  const forgets = config.faults?.forgetDelivered === true;
  return {
    kind: QUEUE_KIND,
    initial: () => new QueueState(),
    promote: (state, position) => new QueueLocal(state, position, forgets),
    demote: demoteView,
    decide: (state, local, command, position) =>
      decideOnView(config, state, local, command, position),
    admit: (_state, _local, batch) => refuseAppended(batch, config.batchBytesMax),
    committed: (state, local, position) =>
      isIdle(config, state, local, position) ? NOTHING : goOn(config, state, local, position),
    apply: applyQueueFrame,
    nextDueMs: (state, local) => local.nextDueMs(state, config.releaseAfterMs),
    tick: (state, local, position) => goOn(config, state, local, position),
    // Nobody else has a claim on a queue's log: whoever browses it sees what is there.
    needed: (state) => state,
    snapshot: snapshotQueue,
    restore: restoreQueue,
  };
}
