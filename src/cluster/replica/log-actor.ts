// The actor of one hosted log: what clients ask of it. It shows in the actor tree with its own rate. A
// throw in its behavior quarantines the log alone; the actor lives on and says so to whoever asks. A
// failed read harms nobody but its reader. One thread, the shard's.
import { actor } from '../../actors/actor.ts';
import { protocol } from '../../actors/protocol.ts';
import type { RefId } from '../../actors/ref.ts';
import type { Log } from '../../env/environment.ts';
import { messageOf } from '../../std/errors.ts';
import { isShortOfDescriptors } from '../../storage/errors.ts';
import { LogHostProtocol } from '../log-protocol.ts';
import type {
  FetchedInput,
  FetchInput,
  FetchSlice,
  LocatedInput,
  LogResult,
  OffsetInput,
} from '../ports.ts';
import type { HostedLog, Reading } from './hosted-log.ts';
import { checkEpoch } from './role.ts';
import { recordPlace } from './timestamp-search.ts';

const { append, fetch, await: awaitOp, command, locate, trim } = LogHostProtocol.ops;

/** The client ops of the host, served per log. */
export const LogProtocol = protocol('log', 1, {
  append,
  fetch,
  await: awaitOp,
  command,
  locate,
  trim,
});

export interface LogAnswers {
  fetched(to: RefId, input: FetchedInput): void;
  located(to: RefId, input: LocatedInput): void;
  advanced(to: RefId, token: number): void;
  refuseFetch(input: FetchInput, result: LogResult): void;
  refuseLocate(input: Pick<OffsetInput, 'token' | 'replyTo'>, result: LogResult): void;
}

export interface LogActorArgs {
  readonly hosted: HostedLog;
  /** Of the behavior that decides what its frames mean. */
  readonly kind: string;
  readonly answers: LogAnswers;
  readonly log: Log;
  /** A throw quarantines the log. */
  guard(hosted: HostedLog, work: () => void): void;
}

const NOTHING: readonly FetchSlice[] = [];
const MAILBOX = { capacity: 65_536, overflow: 'reject' } as const;

function release(): void {
  // Nothing is pinned.
}

/** Without records. One literal for all such answers: fetches are too many for objects that are put together. */
function withoutRecords(
  { stored }: HostedLog,
  { token }: FetchInput,
  result: LogResult,
  reading: Reading | undefined,
): FetchedInput {
  const isKnown = reading !== undefined && result !== 'fenced-epoch' && result !== 'unknown-epoch';
  return {
    token,
    result,
    committedOffset: isKnown ? reading.committedOffset : -1,
    startOffset: isKnown ? stored.startOffset : -1,
    endOffset: isKnown ? stored.endOffset : -1,
    leaderEpoch: reading?.epoch ?? -1,
    slices: NOTHING,
    release,
  };
}

function fetchFrom(hosted: HostedLog, input: FetchInput): FetchedInput {
  const { stored } = hosted;
  const reading = hosted.reading(input.mayBeReplica);
  if (reading === undefined) return withoutRecords(hosted, input, hosted.absence(), undefined);
  const { epoch: leaderEpoch, committedOffset } = reading;
  const believed = checkEpoch(input.epoch, leaderEpoch);
  if (believed !== 'ok') return withoutRecords(hosted, input, believed, reading);
  const { startOffset, endOffset } = stored;
  if (input.offset < startOffset || input.offset > endOffset) {
    return withoutRecords(hosted, input, 'offset-out-of-range', reading);
  }
  const read = stored.read(input.offset, input.maxBytes, committedOffset);
  let slices: readonly FetchSlice[];
  switch (read.kind) {
    case 'empty':
      return withoutRecords(hosted, input, 'ok', reading);
    case 'out-of-range':
      return withoutRecords(hosted, input, 'offset-out-of-range', reading);
    case 'damaged':
      return withoutRecords(hosted, input, 'storage-error', reading);
    case 'no-descriptors':
      // It passes: whoever asks again is answered when a file or a connection has been closed.
      return withoutRecords(hosted, input, 'not-available', reading);
    case 'memory':
      slices = read.slices.map((bytes) => ({ kind: 'memory' as const, bytes }));
      break;
    case 'file': {
      const { file, position, length, isSound } = read;
      slices = [{ kind: 'file' as const, file, position, length, isSound }];
    }
  }
  return {
    token: input.token,
    result: 'ok',
    committedOffset,
    startOffset,
    endOffset,
    leaderEpoch,
    slices,
    release: () => read.release(),
  };
}

function locateIn(hosted: HostedLog, input: OffsetInput): LocatedInput {
  const { leader, stored, machine } = hosted;
  const { token, query } = input;
  const nowhere = { token, offset: -1, timestampMs: -1, epoch: -1 };
  if (leader === undefined) return { ...nowhere, result: hosted.absence() };
  const believed = checkEpoch(input.epoch, leader.epoch);
  if (believed !== 'ok') return { ...nowhere, result: believed };
  const epochOf = (offset: number) => machine.epochs.epochAt(offset);
  if (query.kind === 'earliest') {
    const offset = stored.startOffset;
    return { token, result: 'ok', offset, timestampMs: -1, epoch: epochOf(offset) };
  }
  if (query.kind === 'end-of-epoch') {
    const end = machine.epochs.offsetForLeaderEpoch(query.wanted, stored.endOffset);
    return { token, result: 'ok', offset: end.endOffset, timestampMs: -1, epoch: end.epoch };
  }
  // A new leader may know less of what is committed than the old one: no "latest" before it is active.
  if (!leader.isActive) return { ...nowhere, result: 'not-available' };
  const committedOffset = leader.committedOffset();
  if (query.kind === 'latest') {
    return { token, result: 'ok', offset: committedOffset, timestampMs: -1, epoch: leader.epoch };
  }
  const wanted = query.kind === 'at-time' ? query.timestampMs : undefined;
  const place = wanted === undefined ? stored.maxTimestamp() : stored.offsetForTimestamp(wanted);
  if (place === undefined || place.baseOffset >= committedOffset) {
    return { ...nowhere, result: 'ok' };
  }
  const found = recordPlace(stored, place, committedOffset, (timestampMs) =>
    wanted === undefined ? timestampMs === place.maxTimestampMs : timestampMs >= wanted,
  );
  return { token, result: 'ok', ...found, epoch: epochOf(found.offset) };
}

/** What the last compaction of the log read and wrote. */
function compactionCounts({ lastPass }: HostedLog): Record<string, number> {
  if (lastPass === undefined) return {};
  const { bytesIn, bytesOut, recordsIn, recordsOut, durationMs, endedMs } = lastPass;
  return {
    compactedAtMs: Math.round(endedMs),
    compactionMs: Math.round(durationMs),
    compactionBytesIn: bytesIn,
    compactionBytesOut: bytesOut,
    compactionRecordsGone: recordsIn - recordsOut,
  };
}

export const LogActor = actor(
  LogProtocol,
  (ctx, { hosted, kind, answers, log, guard }: LogActorArgs) => {
    ctx.onInspect(() => {
      const { role, epoch, endSeq, endOffset } = hosted.status();
      return {
        counts: { frames: endSeq, records: endOffset, ...compactionCounts(hosted) },
        facts: { kind, role, epoch },
      };
    });
    const read = (work: () => void, refuse: (result: LogResult) => void) => {
      try {
        work();
      } catch (error) {
        if (isShortOfDescriptors(error)) {
          refuse('not-available');
          return;
        }
        log.error('a log cannot be read', { logId: hosted.logId, error: messageOf(error) });
        refuse('storage-error');
      }
    };
    return {
      append: (input) => guard(hosted, () => hosted.append(input)),
      command: (input) => guard(hosted, () => hosted.command(input)),
      trim: (input) => guard(hosted, () => hosted.trim(input)),
      fetch: (input) =>
        read(
          () => answers.fetched(input.replyTo, fetchFrom(hosted, input)),
          (result) => answers.refuseFetch(input, result),
        ),
      locate: (input) =>
        read(
          () => answers.located(input.replyTo, locateIn(hosted, input)),
          (result) => answers.refuseLocate(input, result),
        ),
      await(input) {
        const reading = hosted.reading(input.mayBeReplica);
        if (reading === undefined || reading.committedOffset > input.offset) {
          answers.advanced(input.replyTo, input.token);
        } else {
          hosted.waiters.add(input.offset, input.token, input.replyTo);
        }
      },
    };
  },
  {
    mailbox: MAILBOX,
    supervision: {
      decide: () => 'stop',
      maxRestarts: 0,
      windowMs: 60_000,
      backoff: { minMs: 0, maxMs: 0, jitter: 0 },
    },
  },
);
