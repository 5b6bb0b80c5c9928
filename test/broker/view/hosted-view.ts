// One group's view of a partition's log, in the shape of a queue's behavior: what drives and models a queue
// drives and models it too. A second group, which nobody models, uses the same log all the time.
import type { DurableBehavior, DurableReply } from '../../../src/actors/durable/behavior.ts';
import {
  createPartitionBehavior,
  type PartitionState,
} from '../../../src/broker/destination/partition.ts';
import { decodeQueueAnswer } from '../../../src/broker/view/answers.ts';
import {
  decodeQueueCommand,
  encodeQueueCommand,
  isPublish,
  type QueueCommand,
} from '../../../src/broker/view/commands.ts';
import type { QueueConfig } from '../../../src/broker/view/config.ts';
import { QueueLocal } from '../../../src/broker/view/local.ts';
import { QueueState } from '../../../src/broker/view/queue-state.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import { encodeOwnersGone, encodeViewCommand } from '../../../src/broker/view/view-commands.ts';
import { VIEW_DEFAULTS, type ViewsLocal } from '../../../src/broker/view/views.ts';
import { ByteWriter } from '../../../src/std/bytes.ts';

export const GROUP = 'modelled';
const OTHER = 'other';
/** The other group's tokens start here. */
export const OTHER_TOKENS = 1_000_000_000;
const OWNER = { node: 9, incarnation: 1 };
const OWNER_OF_NOBODY = { node: 77, incarnation: 1 };

/** The bytes that a group's command has, whose engine command is already encoded. */
function wrapped(group: string, body: Uint8Array): Uint8Array {
  const command: QueueCommand = { kind: 'stats' };
  const outer = encodeViewCommand(group, 'begin', command);
  const out = new ByteWriter(64);
  out.raw(outer.subarray(0, outer.length - encodeQueueCommand(command).length));
  out.raw(body);
  return out.toBytes();
}

/** As it is said to a stream: who is gone is gone for all groups. */
function saidToStream(body: Uint8Array): Uint8Array {
  const command = decodeQueueCommand(body, new Runs(), 1_000_000);
  return command.kind === 'release-owner'
    ? encodeOwnersGone([command.owner, OWNER_OF_NOBODY])
    : wrapped(GROUP, body);
}

/** As a queue's state, for whoever looks at it. */
class SeenState extends QueueState {
  readonly partition: PartitionState;

  constructor(partition: PartitionState) {
    super(partition.tip);
    this.partition = partition;
  }

  override get messages(): number {
    return this.partition.views.of(GROUP)?.queue.messages ?? this.endOffset;
  }
}

class SeenLocal extends QueueLocal {
  readonly soft: ViewsLocal;

  constructor(state: QueueState, soft: ViewsLocal) {
    super(state, NOWHERE, false);
    this.soft = soft;
  }
}

const NOWHERE = {
  logId: 7,
  epoch: 0,
  logTimeMs: 0,
  endOffset: 0,
  committedOffset: 0,
  startOffset: 0,
  endSeq: 0,
  committedSeq: 0,
};

/** Shows the group's own columns where it has some. */
function seen(state: QueueState, soft: ViewsLocal): QueueLocal {
  const local = new SeenLocal(state, soft);
  return new Proxy(local, {
    get(target, key) {
      if (key === 'soft') return target.soft;
      const own = target.soft.views.get(GROUP);
      return Reflect.get(own ?? target, key);
    },
  });
}

export interface HostedView extends DurableBehavior<QueueState, QueueLocal> {
  /** The next thing that the other group does. */
  other(): Uint8Array;
  /** Answers with tokens of the other group. */
  told(reply: DurableReply): void;
  /** Messages that the other group has acknowledged, if all its frames were stored. */
  readonly acknowledged: Set<number>;
}

export function hostedView(config: QueueConfig): HostedView {
  const views = {
    ...VIEW_DEFAULTS,
    engine: {
      ...config,
      releaseOffsets: Number.POSITIVE_INFINITY,
      releaseAfterMs: Number.POSITIVE_INFINITY,
    },
  };
  const behavior = createPartitionBehavior({
    rulesOf: () => ({ messageBytesMax: 1_000_000, needsKeys: false }),
    views,
  });
  const partitionOf = (state: QueueState) => (state as SeenState).partition;
  const softOf = (local: QueueLocal) => (local as SeenLocal).soft;
  const runs = new Runs();
  let epoch = 0;
  let turn = 0;
  const acknowledged = new Set<number>();
  return {
    kind: behavior.kind,
    initial: () => new SeenState(behavior.initial()),
    promote(state, position) {
      return seen(state, behavior.promote(partitionOf(state), position));
    },
    demote: (local) => behavior.demote(softOf(local)),
    decide(state, local, command, position) {
      const { token } = command;
      // Log clients publish to the stream itself.
      const isWhole = token >= OTHER_TOKENS || isPublish(command.body);
      const body = isWhole ? command.body : saidToStream(command.body);
      return behavior.decide(partitionOf(state), softOf(local), { token, body }, position);
    },
    admit: (state, local, batch, position) =>
      behavior.admit!(partitionOf(state), softOf(local), batch, position),
    committed: (state, local, position) =>
      behavior.committed!(partitionOf(state), softOf(local), position),
    apply: (state, frame) => behavior.apply(partitionOf(state), frame),
    nextDueMs: (state, local) => behavior.nextDueMs(partitionOf(state), softOf(local)),
    tick: (state, local, position) => behavior.tick(partitionOf(state), softOf(local), position),
    snapshot: (state) => behavior.snapshot(partitionOf(state)),
    restore: (bytes) => new SeenState(behavior.restore(bytes)),
    acknowledged,
    other() {
      turn += 1;
      const consumerId = 1;
      if (turn % 3 === 1) {
        const options = { isAutoAcknowledging: false, isExclusive: false, isPassive: true };
        const kind = 'attach';
        return of({ kind, owner: OWNER, consumerId, ...options, priority: 0 });
      }
      if (turn % 3 === 2) {
        const wishes = { seen: 0, credit: 3, waitMs: 1_000, leaseMs: 2_000 };
        return of({ kind: 'receive', owner: OWNER, consumerId, ...wishes });
      }
      return of({ kind: 'acknowledge', level: 'none', epoch, runs });
    },
    told({ body }) {
      const answer = decodeQueueAnswer(body, runs);
      if (answer.kind !== 'deliveries') return;
      epoch = answer.epoch;
      for (let row = 0; row < runs.size; row += 1) {
        for (let i = 0; i < runs.count[row]!; i += 1) acknowledged.add(runs.offset[row]! + i);
      }
    },
  };

  function of(command: QueueCommand): Uint8Array {
    return encodeViewCommand(OTHER, 'begin', command);
  }
}
