// What the two ends of a stream say to each other, as messages of two actors: whatever carries those (the same thread,
// a ring, a link) carries streams, in order and at most once. Chunks go in the bulk lane of links; credit does not.
import type { Value } from '../../codec/codec.ts';
import { oneOf, record } from '../../codec/composites.ts';
import { bytes, u32, u53, utf8 } from '../../codec/scalars.ts';
import { type AnyProtocol, lentTell, protocol, tell } from '../protocol.ts';
import { type RefId, refId } from '../ref.ts';
import { SLAB_UNIT_BYTES } from '../threads/slab-pool.ts';

/** Names the writing end, in any message to anybody: who accepts it first reads. */
export type StreamAddress = RefId;

export const streamAddress = refId;

const endCodec = record({
  /**
   * complete: all of it was read. aborted: the writer gave up. cancelled: the reader did. failed: what the reader does
   * with bytes threw. stopped: the actor of the other end, or of this one, stopped. thread-lost, node-lost: that end is
   * gone. unreachable: the way between them was lost, and bytes with it. unclaimed: nobody came to read in time.
   */
  reason: oneOf(
    'complete',
    'aborted',
    'cancelled',
    'failed',
    'stopped',
    'thread-lost',
    'node-lost',
    'unreachable',
    'unclaimed',
  ),
  /** For people. */
  detail: utf8,
});

/** Why a stream is over. */
export type StreamEnd = Value<typeof endCodec>;

export const StreamWriterProtocol = protocol('stream-writer', 1, {
  attach: tell(record({ reader: refId, windowBytes: u32 })),
  /** What the reader has handled since the beginning, as costs. */
  credit: tell(u53),
  /** The reader is done; nothing follows. */
  closed: tell(record({ reader: refId, end: endCodec })),
  // To itself. An end that is heard of waits behind what came before it.
  gone: tell(endCodec),
  room: tell(record({})),
  unclaimed: tell(record({})),
});

export const StreamReaderProtocol = protocol(
  'stream-reader',
  1,
  {
    chunk: lentTell(record({ sequence: u32, body: bytes })),
    /** Nothing follows; so many chunks were sent. */
    end: tell(record({ chunks: u32, end: endCodec })),
    // To itself.
    gone: tell(endCodec),
    room: tell(record({})),
  },
  { isBulk: true },
);

export const STREAM_PROTOCOLS: readonly AnyProtocol[] = [
  StreamWriterProtocol,
  StreamReaderProtocol,
];

export type StreamWriterOps = (typeof StreamWriterProtocol)['ops'];
export type StreamReaderOps = (typeof StreamReaderProtocol)['ops'];

/** The sequence and the size in front of a body, at most. */
const CHUNK_HEAD_BYTES = 8;
/** Bytes of a chunk at most: with its head it fills one unit of a slab, so it goes through the smallest. */
export const CHUNK_BYTES = SLAB_UNIT_BYTES - CHUNK_HEAD_BYTES;
export const WINDOW_BYTES_MAX = 16 * 1024 * 1024;
/** What a chunk costs at least: so many chunks wait at most, however small they are. */
const CHUNK_COST_MIN = 256;

export function chunkCost(length: number): number {
  return Math.max(length, CHUNK_COST_MIN);
}

/** Chunks that may wait within a window; the last may begin inside of it. */
export function chunksMax(windowBytes: number): number {
  return Math.ceil(windowBytes / CHUNK_COST_MIN) + 2;
}
