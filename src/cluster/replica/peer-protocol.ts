// What the log hosts of two nodes say to each other about the logs they share. Tells are ordered per
// pair while a link lives; after its end both sides greet anew. Asks are for bulk copies, which may
// fail and start again.
import { ask, lentTell, protocol, tell } from '../../actors/protocol.ts';
import {
  array,
  bool,
  bytesCopy,
  type Codec,
  defineCodec,
  i32,
  mapped,
  record,
  u32,
  u53,
  union,
} from '../../codec/index.ts';
import type { FramesInput } from './wire-frame.ts';
import { framesWire } from './wire-frame.ts';

const frames: Codec<FramesInput> = defineCodec<FramesInput>({
  shape: 'frames',
  sizeMin: 32,
  size: framesWire.size,
  encode: framesWire.encode,
  read: framesWire.read,
});

const replicaId = record({ node: u32, incarnation: u53 });
const fence = record({ epoch: u32, leader: u32, unclean: bool });
const hello = record({
  from: replicaId,
  epoch: u32,
  helloNo: u53,
  committedSeq: u53,
  endSeq: u53,
  durableSeq: u53,
  firstFrameSeq: u53,
  assignedAt: u53,
  tail: array(record({ epoch: u32, lastSeq: u53 })),
});
const answerBase = { epoch: u32, helloNo: u53, committedSeq: u53 };
const helloAnswer = union({
  frames: { ...answerBase, cutSeq: u53 },
  snapshot: { ...answerBase, cutSeq: u53 },
  discard: answerBase,
  refused: { ...answerBase, cutSeq: u53 },
});

const chain: Codec<number> = mapped(
  u53,
  (value: number) => value + 1,
  (wire) => wire - 1,
);

const snapshot = record({
  seq: u53,
  epoch: u32,
  chain: u32,
  logTimeMs: u53,
  endOffset: u53,
  startOffset: u53,
  epochs: array(record({ epoch: u32, firstSeq: u53 })),
  state: bytesCopy,
});

const donationFacts = record({ compactedEnd: u53, thinnedEnd: u53, needlessGone: bool });
const loanFacts = record({
  isRaw: bool,
  isThinned: bool,
  needlessGone: bool,
  doneOffset: u53,
  settledOffset: u53,
  stateSeq: u53,
});

/** Served by every log host under the slot `SLOT_PEERS`. `from` is the sender's node id. */
export const PeerProtocol = protocol('log-peer', 3, {
  fence: tell(record({ logId: u53, fence })),
  hello: tell(record({ logId: u53, hello })),
  answer: tell(record({ logId: u53, from: u32, answer: helloAnswer })),
  frames: lentTell(frames),
  ack: tell(
    record({ logId: u53, from: u32, incarnation: u53, epoch: u32, durableSeq: u53, chain }),
  ),
  committed: tell(record({ from: u32, logs: array(record({ logId: u53, epoch: u32, seq: u53 })) })),
  pullFrames: ask(record({ logId: u53, fromSeq: u53, throughSeq: u53 }), frames),
  donate: ask(
    record({ logId: u53, epoch: i32 }),
    record({ donationId: u53, totalBytes: u53, snapshot, facts: donationFacts }),
  ),
  pullChunk: ask(record({ donationId: u53, position: u53 }), bytesCopy),
  releaseDonation: tell(record({ donationId: u53 })),
  received: tell(record({ logId: u53, from: u32, incarnation: u53, epoch: u32, seq: u53 })),
  /** Settled batches for a replica of the same epoch whose own are damaged, read like a donation. */
  lend: ask(
    record({ logId: u53, epoch: u32, fromOffset: u53, toOffset: u53 }),
    record({ donationId: u53, totalBytes: u53, facts: loanFacts }),
  ),
  /** From whoever leads metadata: the leaders of these logs, in these epochs, are to hand over. */
  planMoves: tell(record({ moves: array(record({ logId: u53, epoch: u32, target: u32 })) })),
});

/** The leader of `epoch` of a log is to hand it over to the node `target`. */
export interface LogMove {
  readonly logId: number;
  readonly epoch: number;
  readonly target: number;
}

export type PeerOps = typeof PeerProtocol.ops;
