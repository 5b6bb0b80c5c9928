// What the main threads of the nodes say to each other about metadata, and what a main thread tells the
// shards of its own node. Raft messages travel as bytes of the raft room's own codec.
import { ask, protocol, tell } from '../../actors/protocol.ts';
import {
  array,
  bool,
  bytesCopy,
  oneOf,
  optional,
  record,
  tuple,
  u32,
  u53,
  utf8,
} from '../../codec/index.ts';
import { NODE_ROLES } from '../metadata/types.ts';
import type { Difference } from '../ports.ts';

const proposeAnswer = record({
  /** `done`: committed and applied, `refused` by the state machine, or not even logged. */
  kind: oneOf('done', 'refused', 'not-leader', 'unavailable'),
  index: u53,
  code: utf8,
  message: utf8,
  /** Of a declaration that is refused because something else is there. */
  difference: optional(
    record({ property: utf8, received: optional(utf8), current: optional(utf8) }),
  ),
});

const replica = record({ node: u32, incarnation: u53 });
const newcomer = record({ node: u32, incarnation: u32, role: oneOf(...NODE_ROLES) });

/** Slot `SLOT_METADATA` on thread 0 of every node. */
export const MetadataProtocol = protocol('metadata', 7, {
  raft: tell(bytesCopy),
  propose: ask(record({ command: bytesCopy }), proposeAnswer),
  heartbeat: tell(record({ node: u32, incarnation: u32 })),
  /** A node without a Raft log asks to become a member under its new incarnation. True: it is what its role may be. */
  join: ask(newcomer, bool),
  /** The same, from a member that was asked and does not lead: who lost its folder may know none that does. */
  letIn: ask(newcomer, bool),
  /** A node that starts asks what the others know of it (zeros: nothing), and how far they can know. */
  known: ask(
    record({ node: u32 }),
    record({
      incarnation: u32,
      bootCounter: u32,
      /** Taken out of the cluster: the incarnation is the last that it had. */
      isRemoved: bool,
      standing: oneOf('leads', 'follows', 'alone', 'blank'),
    }),
  ),
  /** A node is about to stop: others are to take over what it leads. How many logs that is; absent: nobody plans here. */
  prepareStop: ask(record({ node: u32, incarnation: u32 }), optional(u32)),
  // From the shards of this node.
  proposeSafeSet: tell(
    record({
      thread: u32,
      logId: u53,
      epoch: u32,
      expectedPartitionEpoch: u53,
      attempt: u53,
      newSet: array(replica),
      isr: array(u32),
    }),
  ),
  /** A leader of this node gave one log up: somebody else, or the same in a new epoch. */
  resignLog: tell(record({ logId: u53, epoch: u32 })),
  /** A leader of this node has held its appends until the target had everything: see `move-leaders`. */
  moveLeader: tell(record({ thread: u32, logId: u53, epoch: u32, partitionEpoch: u53, to: u32 })),
  shardApplied: tell(record({ thread: u32, index: u53 })),
  /** From a shard: a change asked for by a client of it. */
  change: ask(record({ command: bytesCopy, timeoutMs: u53 }), proposeAnswer),
});

export type MetadataOps = typeof MetadataProtocol.ops;

/** Slot `SLOT_METADATA_REPLICA` on every shard that is not the main thread. */
export const ReplicaProtocol = protocol('metadata-replica', 2, {
  /** The whole image: at start, and after a snapshot. */
  image: tell(record({ index: u53, controllerId: u32, bytes: bytesCopy })),
  entries: tell(record({ controllerId: u32, entries: array(tuple(u53, bytesCopy)) })),
  controller: tell(record({ controllerId: u32 })),
  safeSetRejected: tell(record({ logId: u53, attempt: u53 })),
  /** What `moveLeader` asked for has changed nothing, and will not. */
  moveRefused: tell(record({ logId: u53, epoch: u32, partitionEpoch: u53 })),
});

export type ReplicaOps = typeof ReplicaProtocol.ops;
export type ProposeAnswer = {
  readonly kind: 'done' | 'refused' | 'not-leader' | 'unavailable';
  readonly index: number;
  readonly code: string;
  readonly message: string;
  readonly difference: Difference | undefined;
};

/** The answer when nobody who may answer was reached in time: it may have happened or not. */
export const UNAVAILABLE: ProposeAnswer = {
  kind: 'unavailable',
  index: 0,
  code: 'METADATA_UNAVAILABLE',
  message: 'no metadata leader with a quorum could be reached in time',
  difference: undefined,
};
