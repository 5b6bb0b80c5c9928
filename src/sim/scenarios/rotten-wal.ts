// Rot in the write-ahead logs of a node's shards or of its metadata, where a start can tell it from a tear: below what a later group says was
// durable when it was issued. What lies above that is the documented gap, and is left alone.
import { crc32c } from '../../std/crc32c.ts';
import {
  BLOCK_BYTES,
  FRAME_HEADER_BYTES,
  FrameCodec,
  FrameFields,
  TYPE_GROUP,
} from '../../storage/frame-format.ts';
import type { Device } from '../disk/device.ts';
import type { Inode } from '../disk/inode.ts';
import { type CountingRandom, pick } from '../draws.ts';

/** Older ones no start reads: checkpoints come often. */
const NEWEST = 8;
/** The header of the group, and of what is in it; further on lies its padding. */
const FIRST_BYTES = 512;

interface Group {
  readonly inode: Inode;
  readonly path: string;
  readonly position: number;
  readonly length: number;
}

const OF_SHARDS = /(^|\/)shard-.*\.wal$/;
const OF_METADATA = /(^|\/)meta\/.*\.wal$/;

/** One bit of one group; answers which. */
export function rotWal(device: Device, random: CountingRandom): string | undefined {
  const codec = new FrameCodec(crc32c);
  const group = new FrameFields();
  const head = new Uint8Array(FRAME_HEADER_BYTES);
  const found: (Group & { readonly endLsn: number })[] = [];
  let durableLsn = 0;
  const wals = random.below(4) === 0 ? OF_METADATA : OF_SHARDS;
  for (const { path, inode } of device.tree.files()) {
    if (!wals.test(path)) continue;
    for (let position = BLOCK_BYTES; position < inode.durable.size; position += BLOCK_BYTES) {
      inode.durable.read(head, position);
      if (!codec.readHeader(head, 0, group) || group.type !== TYPE_GROUP) continue;
      const length = FRAME_HEADER_BYTES + group.payloadLength;
      durableLsn = Math.max(durableLsn, group.seq);
      found.push({ inode, path, position, length, endLsn: group.lsn + length });
    }
  }
  const known = found
    .filter(({ endLsn }) => endLsn <= durableLsn)
    .sort((a, b) => a.endLsn - b.endLsn);
  const hit = pick(random, known.slice(-NEWEST));
  if (hit === undefined) return undefined;
  const position = hit.position + random.below(Math.min(hit.length, FIRST_BYTES));
  const bit = random.below(8);
  hit.inode.durable.flipBit(position, bit);
  hit.inode.cached.flipBit(position, bit);
  return `${hit.path} at ${position}`;
}
