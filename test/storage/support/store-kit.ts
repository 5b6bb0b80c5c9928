// Opens stores over the virtual world and makes what goes into them.

import { stampBatch } from '../../../src/records/batch.ts';
import { BatchBuilder } from '../../../src/records/batch-builder.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import type {
  OpenedShardStore,
  ReadResult,
  ShardStoreOptions,
  StoredLog,
} from '../../../src/storage/api.ts';
import { openShardStore } from '../../../src/storage/store.ts';
import type { FaultDisk } from './fault-disk.ts';
import { World } from './world.ts';

export const IDENTITY = { clusterId: 'test-cluster', nodeId: 1, shard: 0 };
/** Of a log that was never compacted. */
export const RAW = { compactedEnd: 0, thinnedEnd: 0, needlessGone: false };
export const NO_EVENTS = new Uint8Array(0);

export const SMALL: Omit<ShardStoreOptions, 'directory' | 'identity'> = {
  walFileBytesMin: 64 * 1024,
  walFileBytesMax: 64 * 1024,
  settleBytes: 8 * 1024,
  segmentBytesMax: 24 * 1024,
};

export function openOn(
  world: World,
  disk: FaultDisk,
  options: Partial<ShardStoreOptions> = {},
  seed = 1,
): Promise<OpenedShardStore> {
  const opening = openShardStore(world.env(disk, seed), {
    directory: 'shard-0',
    identity: IDENTITY,
    ...SMALL,
    ...options,
  });
  return world.drive(opening);
}

/** A batch of `count` records with `size` bytes each; the content tells offset and `fill`. */
export function batchAt(
  offset: number,
  count: number,
  size: number,
  fill = 0,
  timestampMs = 1_000_000 + offset,
  epoch = 1,
): Uint8Array {
  const builder = new BatchBuilder();
  for (let i = 0; i < count; i += 1) {
    const value = new Uint8Array(size);
    for (let at = 0; at < size; at += 1) value[at] = (offset + i + at * 7 + fill * 31) & 0xff;
    builder.append(timestampMs, null, value);
  }
  const batch = builder.finish(crc32c).slice();
  stampBatch(batch, 0, offset, epoch);
  return batch;
}

export function eventsOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Appends a batch at the end of the log; returns the seq. */
export function appendBatch(
  log: StoredLog,
  size: number,
  options: { readonly awaited?: boolean; readonly epoch?: number; readonly fill?: number } = {},
): number {
  const epoch = options.epoch ?? Math.max(1, log.lastEpoch);
  const batch = batchAt(log.endOffset, 1, size, options.fill ?? 0, undefined, epoch);
  const events = eventsOf(`e${log.endSeq + 1}`);
  const seq = log.append(epoch, log.lastLogTimeMs + 1, events, batch, options.awaited ?? true);
  if (typeof seq !== 'number') throw new Error(`append was refused: ${seq}`);
  return seq;
}

/** Everything a read gives, as one copy. */
export function bytesOf(read: ReadResult): Uint8Array {
  if (read.kind === 'memory') {
    const out = new Uint8Array(read.length);
    let at = 0;
    for (const slice of read.slices) {
      out.set(slice, at);
      at += slice.length;
    }
    read.release();
    return out;
  }
  if (read.kind !== 'file') throw new Error(`nothing to read: ${read.kind}`);
  const out = new Uint8Array(read.length);
  const count = read.file.readSync(out, read.position);
  read.release();
  if (count !== read.length) throw new Error(`short read: ${count} of ${read.length}`);
  return out;
}

/** All batches from `from` to the end of the log, read in small steps. */
export function readAll(log: StoredLog, from = log.startOffset, maxBytes = 3000): Uint8Array {
  const parts: Uint8Array[] = [];
  let offset = from;
  while (offset < log.endOffset) {
    const read = log.read(offset, maxBytes, log.endOffset);
    if (read.kind !== 'memory' && read.kind !== 'file') {
      throw new Error(`read at ${offset} answered ${read.kind}`);
    }
    const { nextOffset } = read;
    parts.push(bytesOf(read));
    offset = nextOffset;
  }
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export interface SeenFrame {
  readonly seq: number;
  readonly epoch: number;
  readonly logTimeMs: number;
  readonly chain: number;
  readonly payloadCrc: number;
  readonly events: string;
  readonly batch: Uint8Array | undefined;
}

export async function allFrames(
  world: World,
  log: StoredLog,
  from = log.firstSeq,
): Promise<SeenFrame[]> {
  const frames: SeenFrame[] = [];
  let next = from;
  while (next <= log.endSeq) {
    const result = await world.drive(
      log.framesFrom(next, 8192, (header, events, batch) => {
        const { seq, epoch, logTimeMs, chain, payloadCrc } = header;
        frames.push({
          seq,
          epoch,
          logTimeMs,
          chain,
          payloadCrc,
          events: new TextDecoder().decode(events.slice()),
          batch: batch?.slice(),
        });
        return true;
      }),
    );
    if (result === 'gone') throw new Error(`frame ${next} is gone`);
    next = result;
  }
  return frames;
}

/** One short text per frame that differs if anything in the frame does. */
export function fingerprints(frames: readonly SeenFrame[]): string[] {
  return frames.map(({ seq, epoch, logTimeMs, chain, events, batch }) => {
    const sum = batch === undefined ? 'none' : crc32c(batch);
    return `${seq} ${epoch} ${logTimeMs} ${chain} ${events} ${sum}`;
  });
}

export { World };
