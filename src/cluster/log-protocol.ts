// The protocols of the per-shard log host and of whoever waits for its answers, as actor protocol
// values. The types are in ports.ts; here are their codecs. On one thread the objects travel as they
// are; a fetched file range cannot cross a thread, so the host reads it into memory before.
import { ask, protocol, tell } from '../actors/protocol.ts';
import { refId } from '../actors/ref.ts';
import {
  array,
  bool,
  bytes,
  bytesCopy,
  type Codec,
  i32,
  mapped,
  none,
  oneOf,
  record,
  u53,
  union,
} from '../codec/index.ts';
import type { FetchedInput, FetchSlice, LogStatus } from './ports.ts';

/** An integer from -1 on. */
const fromMinusOne: Codec<number> = mapped(
  u53,
  (value: number) => value + 1,
  (wire) => wire - 1,
);

const result = oneOf(
  'ok',
  'not-leader',
  'unknown-log',
  'fenced-epoch',
  'unknown-epoch',
  'offset-out-of-range',
  'not-enough-replicas',
  'too-large',
  'corrupt',
  'invalid',
  'unsupported',
  'throttled',
  'timed-out',
  'storage-error',
  'not-available',
  'leader-lost',
  'no-space',
);

const slices: Codec<readonly FetchSlice[]> = mapped(
  array(bytesCopy),
  (value: readonly FetchSlice[]) =>
    value.map((slice) => {
      if (slice.kind === 'memory') return slice.bytes;
      throw new RangeError('a file range cannot leave its thread');
    }),
  (wire) => wire.map((part) => ({ kind: 'memory' as const, bytes: part })),
);

const fetchedWire = record({
  token: u53,
  result,
  committedOffset: fromMinusOne,
  startOffset: fromMinusOne,
  endOffset: fromMinusOne,
  leaderEpoch: i32,
  slices,
});

const nothingPinned = (): void => undefined;

const fetched: Codec<FetchedInput> = mapped(
  fetchedWire,
  (value: FetchedInput) => value,
  (wire) => ({ ...wire, release: nothingPinned }),
);

const offsetQuery = union({
  earliest: {},
  latest: {},
  'max-timestamp': {},
  'at-time': { timestampMs: u53 },
  'end-of-epoch': { wanted: i32 },
});

const logStatus: Codec<LogStatus> = record({
  logId: u53,
  role: oneOf('leader', 'follower', 'starting', 'failed'),
  epoch: i32,
  lastEpoch: i32,
  startOffset: u53,
  committedOffset: u53,
  endOffset: u53,
  endSeq: u53,
  committedSeq: u53,
  uncleanFrom: fromMinusOne,
  lostFrom: fromMinusOne,
  lostCommittedTo: fromMinusOne,
  lostTo: fromMinusOne,
});

/** Served by the log host of each shard under a well-known slot. */
export const LogHostProtocol = protocol('log-host', 3, {
  append: tell(
    record({
      logId: u53,
      level: oneOf('none', 'local', 'committed', 'stored'),
      epoch: i32,
      timeoutMs: u53,
      token: u53,
      replyTo: refId,
      batch: bytesCopy,
    }),
  ),
  fetch: tell(
    record({
      logId: u53,
      offset: u53,
      epoch: i32,
      maxBytes: u53,
      mayBeReplica: bool,
      token: u53,
      replyTo: refId,
    }),
  ),
  await: tell(record({ logId: u53, offset: u53, mayBeReplica: bool, token: u53, replyTo: refId })),
  command: tell(record({ logId: u53, body: bytes, timeoutMs: u53, token: u53, replyTo: refId })),
  locate: tell(record({ logId: u53, epoch: i32, query: offsetQuery, token: u53, replyTo: refId })),
  status: ask(none, array(logStatus)),
  trim: tell(
    record({
      logId: u53,
      epoch: i32,
      offset: fromMinusOne,
      timeoutMs: u53,
      token: u53,
      replyTo: refId,
    }),
  ),
  find: ask(
    record({
      ...{ logId: u53, kind: oneOf('key', 'tag', 'id'), value: bytesCopy },
      ...{ fromOffset: u53, endOffset: u53, sinceMs: fromMinusOne, untilMs: fromMinusOne },
      ...{ isNewestFirst: bool, max: u53, timeoutMs: u53 },
    }),
    record({ result, offsets: array(u53), edge: u53, isComplete: bool, unread: u53 }),
  ),
});

/** Spoken by whoever asks a log host: each answer names the token of its question. */
export const LogRepliesProtocol = protocol('log-replies', 1, {
  appended: tell(
    record({
      token: u53,
      result,
      baseOffset: fromMinusOne,
      startOffset: fromMinusOne,
      leaderEpoch: i32,
    }),
  ),
  fetched: tell(fetched),
  advanced: tell(record({ token: u53 })),
  answered: tell(record({ token: u53, result, body: bytesCopy })),
  located: tell(
    record({ token: u53, result, offset: fromMinusOne, timestampMs: fromMinusOne, epoch: i32 }),
  ),
});

export type LogHostOps = typeof LogHostProtocol.ops;
export type LogRepliesOps = typeof LogRepliesProtocol.ops;
