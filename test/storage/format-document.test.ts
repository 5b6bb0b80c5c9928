// docs/internals/storage-format.md is a promise: each of its tables of bytes is read here and held against what the
// code writes, field for field, and against what it reads. Tables that nothing is held against fail.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../src/std/crc32c.ts';
import {
  type CheckpointEntry,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../src/storage/checkpoint.ts';
import * as frames from '../../src/storage/frame-format.ts';
import {
  decodeIndexHeader,
  encodeDirectory,
  encodeIndexHeader,
  encodeRun,
} from '../../src/storage/record-index/format.ts';
import {
  COMPACTED_FLAG,
  decodeSegmentHeader,
  encodeSegmentHeader,
  RAW_FLAG,
  THINNED_FLAG,
  UNTHINNED_FLAG,
} from '../../src/storage/segment.ts';
import {
  decodeRecord,
  decodeViewFile,
  encodeRecord,
  encodeViewFile,
} from '../../src/storage/snapshot-record.ts';
import { SparseIndex } from '../../src/storage/sparse-index.ts';
import {
  decodeMarks,
  decodeSuperblock,
  encodeMarks,
  encodeSuperblock,
} from '../../src/storage/store-files.ts';
import { decodeWalFileHeader, encodeWalFileHeader } from '../../src/storage/wal-files.ts';
import { FILES, folderOfRun, STATE_LOG } from './support/format-run.ts';

const TEXT = readFileSync(
  new URL('../../docs/internals/storage-format.md', import.meta.url),
  'utf8',
);

interface Row {
  readonly offset: number;
  /** NaN: to the end. */
  readonly size: number;
  readonly type: string;
  readonly field: string;
  readonly meaning: string;
}

interface Table {
  readonly bytes: number;
  readonly isLittle: boolean;
  readonly rows: readonly Row[];
}

/** The cells of the first table behind a line that begins with `head`, without its own head. */
function cellsBehind(head: string): string[][] {
  const lines = TEXT.split('\n');
  const from = lines.findIndex((line, i) => i >= lines.indexOf(head) && line.startsWith('| ---'));
  const cells: string[][] = [];
  for (let i = from + 1; lines[i]?.startsWith('|') === true; i += 1) {
    cells.push(
      lines[i]!.slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
  }
  return cells;
}

function tablesIn(): Map<string, Table> {
  const tables = new Map<string, Table>();
  for (const [head, title, bytes, order] of TEXT.matchAll(
    /^### (.+): (\d+) bytes, (little|big) endian$/gm,
  )) {
    const rows = cellsBehind(head).map(
      ([offset, size, type, field, meaning]): Row => ({
        offset: Number(offset),
        size: Number(size),
        type: type!,
        field: field!,
        meaning: meaning!,
      }),
    );
    tables.set(title!, { bytes: Number(bytes), isLittle: order === 'little', rows });
  }
  return tables;
}

type Value = number | string | Uint8Array;
type Values = Readonly<Record<string, Value>>;

const SIZES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 };

function valueIn(bytes: Uint8Array, row: Row, isLittle: boolean): Value {
  const { offset: at } = row;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (row.type) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, isLittle);
    case 'u32':
      return view.getUint32(at, isLittle);
    case 'i32':
      return view.getInt32(at, isLittle);
    case 'u64':
      return Number(view.getBigUint64(at, isLittle));
    case 'i64':
      return Number(view.getBigInt64(at, isLittle));
    case 'text':
      return new TextDecoder().decode(bytes.subarray(at + 1, at + 1 + bytes[at]!));
    case 'bytes':
      return bytes.slice(at);
    default:
      throw new Error(`the document has the type ${row.type}`);
  }
}

/** `CRC-32C of bytes 0 to 63 and 68 to the end`. */
function sumSaid(bytes: Uint8Array, meaning: string): number {
  const ranges = [...meaning.matchAll(/(\d+) to (\d+|the end)/g)];
  expect(ranges.length).toBeGreaterThan(0);
  let sum = 0;
  for (const [, from, to] of ranges) {
    const end = to === 'the end' ? bytes.length : Number(to) + 1;
    sum = crc32c(bytes, Number(from), end, sum);
  }
  return sum;
}

/** Everything that the table says of these bytes is so, and it speaks of every byte of its `bytes`. */
function expectSaid(table: Table, bytes: Uint8Array, values: Values, name: string): void {
  const unsaid = new Set(Object.keys(values));
  let next = 0;
  for (const row of table.rows) {
    const where = `${name}: ${row.field}`;
    expect([where, row.offset]).toEqual([where, next]);
    if (row.type === 'zeros') {
      const rest = bytes.subarray(row.offset, row.offset + row.size);
      expect([where, rest.length, rest.every((byte) => byte === 0)]).toEqual([
        where,
        row.size,
        true,
      ]);
    } else {
      const value = valueIn(bytes, row, table.isLittle);
      const size = SIZES[row.type];
      if (size !== undefined) expect([where, row.size]).toEqual([where, size]);
      if (row.field === 'magic') {
        const text = String.fromCharCode(...bytes.subarray(row.offset, row.offset + 4));
        expect([where, `"${text}"`]).toEqual([where, row.meaning]);
      } else if (row.meaning.startsWith('CRC-32C of')) {
        expect([where, value]).toEqual([where, sumSaid(bytes, row.meaning)]);
      } else if (row.field === 'version') {
        expect([where, String(value)]).toEqual([where, row.meaning]);
      } else {
        expect([where, value]).toEqual([where, values[row.field]]);
        unsaid.delete(row.field);
      }
    }
    if (Number.isNaN(row.size)) {
      expect(row).toBe(table.rows[table.rows.length - 1]);
    } else next += row.size;
  }
  expect([name, next]).toEqual([name, table.bytes]);
  expect([...unsaid]).toEqual([]);
}

/** Another value for every field, above 32 bits where it has room. */
const big = (n: number): number => n * 0x1_0000_0000 + 0x0102_0304 * n + n;

const IDENTITY = { clusterId: 'cluster ü', nodeId: -3, shard: 17 };
const SUPERBLOCK = {
  ...IDENTITY,
  major: 1,
  minor: 0x203,
  compatible: 0x8000_0104,
  readOnlyCompatible: 0x8000_0205,
  incompatible: 0x8000_0306,
};
const MARKS = { sequence: big(1), bootCount: big(2), isClean: true, failedSync: true };
const WAL_HEADER = { firstLsn: big(3), salt: 0xf001_0203, size: 0x0405_0607 };
const SEGMENT = { logId: big(4), baseOffset: big(5), generation: 0xf000_0006, revision: 7 };
const REWRITTEN = { ...SEGMENT, endOffset: big(8) };
const BARE = { isRaw: false, isThinned: false };
const RECORD = {
  epoch: -9,
  epochFirstSeq: big(10),
  chain: 0xf000_000b,
  logTimeMs: big(12),
  endOffset: big(13),
  startOffset: big(14),
  generation: 0xf000_000f,
  generationMin: 0xf000_0010,
  state: Uint8Array.of(1, 2, 3),
};
const ENTRY: CheckpointEntry = {
  logId: big(17),
  needsRepair: true,
  committedSeq: big(18),
  startOffset: big(19),
  mark: {
    settledSeq: big(20),
    settledOffset: big(21),
    generationMin: 0xf000_0016,
    generation: 0xf000_0017,
    segmentBase: big(24),
    segmentLength: big(25),
  },
  anchor: {
    seq: big(26),
    epoch: -27,
    epochFirstSeq: big(28),
    chain: 0xf000_001d,
    nextOffset: big(30),
    logTimeMs: big(31),
  },
};
const CHECKPOINT = {
  sequence: big(32),
  replayLsn: big(33),
  capturedLsn: big(34),
  entries: [ENTRY, { ...ENTRY, logId: 2 }],
};

function frameOf(): { bytes: Uint8Array; fields: frames.FrameFields } {
  const fields = new frames.FrameFields();
  fields.type = 0xfe;
  fields.flags = 0xf0f1;
  fields.lsn = big(35);
  fields.logId = big(36);
  fields.seq = big(37);
  fields.logTimeMs = big(38);
  fields.epoch = -39;
  fields.payloadLength = 0xf000_0028;
  fields.payloadCrc = 0xf000_0029;
  fields.chain = 0xf000_002a;
  fields.salt = 0xf000_002b;
  const bytes = new Uint8Array(frames.FRAME_HEADER_BYTES);
  new frames.FrameCodec(crc32c).writeHeader(bytes, 0, fields);
  return { bytes, fields };
}

/** Of two entries: the first batch, and one more than 32 KiB behind it. */
function indexOf(): { bytes: Uint8Array; index: SparseIndex } {
  const index = new SparseIndex(big(44), big(45));
  index.add(big(44), 40_000, big(46), big(47), big(48));
  index.add(big(49), 50_000, big(50), big(51), big(52));
  return { bytes: index.encode(SEGMENT, crc32c), index };
}

/** Of two entries. */
function runOf() {
  const columns = {
    hashes: Uint32Array.of(0xf000_0041, 0xf000_0042),
    offsets: Float64Array.of(big(56), big(57)),
    timesMs: Float64Array.of(big(58), big(58) + 4000),
  };
  return encodeRun(columns, crc32c);
}

/** As if there were so many that they take two blocks. */
const RUN = {
  ...runOf().run,
  ...{ position: big(60), entries: 257 },
  blockHashes: Uint32Array.of(0xf000_0041, 0xf000_0042),
  blockOffsets: Float64Array.of(big(56), big(57)),
  blockSums: Uint32Array.of(0xf000_0043, 0xf000_0044),
};

const RECORD_VALUES: Values = {
  epoch: RECORD.epoch,
  'epoch first seq': RECORD.epochFirstSeq,
  chain: RECORD.chain,
  'log time': RECORD.logTimeMs,
  'end offset': RECORD.endOffset,
  'start offset': RECORD.startOffset,
  generation: RECORD.generation,
  'lowest generation': RECORD.generationMin,
  state: RECORD.state,
};

/** What the code writes, what it then has in the fields of the document, and that the code reads the same. */
const WRITTEN: Readonly<Record<string, () => { bytes: Uint8Array; values: Values }>> = {
  Superblock: () => {
    const bytes = encodeSuperblock(SUPERBLOCK, crc32c);
    expect(decodeSuperblock(bytes, crc32c, 'x')).toEqual(SUPERBLOCK);
    const { major, minor, compatible, incompatible, nodeId, shard, clusterId } = SUPERBLOCK;
    const values = { major, minor, compatible, incompatible, shard, 'node id': nodeId };
    const rest = {
      'read-only compatible': SUPERBLOCK.readOnlyCompatible,
      'cluster id': clusterId,
    };
    return { bytes, values: { ...values, ...rest } };
  },
  'Slot of the marks': () => {
    const bytes = encodeMarks(MARKS, crc32c);
    expect(decodeMarks(bytes, crc32c)).toEqual(MARKS);
    return { bytes, values: { sequence: MARKS.sequence, starts: MARKS.bootCount, flags: 1 + 2 } };
  },
  'Header of a WAL file': () => {
    const bytes = encodeWalFileHeader(WAL_HEADER, crc32c);
    expect(decodeWalFileHeader(bytes, crc32c, 'x')).toEqual(WAL_HEADER);
    const { firstLsn, salt, size } = WAL_HEADER;
    return { bytes, values: { 'first LSN': firstLsn, salt, size } };
  },
  'Header of a WAL frame': () => {
    const { bytes, fields } = frameOf();
    const read = new frames.FrameFields();
    expect(new frames.FrameCodec(crc32c).readHeader(bytes, 0, read)).toBe(true);
    expect(read).toEqual(fields);
    const { type, flags, lsn, logId, seq, logTimeMs, epoch, payloadLength, chain, salt } = fields;
    return {
      bytes,
      values: {
        ...{ type, flags, seq, epoch, chain, salt, LSN: lsn, 'log id': logId },
        ...{ 'log time': logTimeMs, 'payload size': payloadLength },
        'payload sum': fields.payloadCrc,
      },
    };
  },
  'State record': () => {
    const bytes = encodeRecord(RECORD);
    expect(decodeRecord(bytes, 'x')).toEqual(RECORD);
    return { bytes, values: RECORD_VALUES };
  },
  'State in a file': () => {
    const record = encodeRecord(RECORD);
    const bytes = encodeViewFile(big(53), record, crc32c);
    expect(decodeViewFile(bytes, big(53), crc32c)).toEqual(record);
    return { bytes, values: { seq: big(53), record } };
  },
  'Header of a segment': () => {
    const headerOf = (revision: number, isRaw: boolean, isThinned: boolean) => {
      const name = { ...REWRITTEN, revision, isRaw, isThinned };
      const bytes = encodeSegmentHeader({ ...name, isDone: true }, crc32c);
      expect(decodeSegmentHeader(bytes, crc32c, 'x')).toEqual(name);
      return bytes;
    };
    const flagsOf = (bytes: Uint8Array) => new DataView(bytes.buffer).getUint32(40, true);
    expect(flagsOf(headerOf(0, true, false))).toBe(0);
    expect(flagsOf(headerOf(0, false, false))).toBe(2);
    expect(flagsOf(headerOf(0, false, true))).toBe(2 + 4);
    expect(flagsOf(headerOf(1, false, false))).toBe(0);
    expect(flagsOf(headerOf(1, false, true))).toBe(4);
    // Without the flag, as it was before there was one.
    const bare = encodeSegmentHeader({ ...REWRITTEN, isDone: true, ...BARE }, crc32c);
    expect(flagsOf(bare)).toBe(8);
    expect(decodeSegmentHeader(bare, crc32c, 'x')).toMatchObject(BARE);
    const words = new DataView(bare.buffer);
    words.setUint32(40, 0, true);
    words.setUint32(60, crc32c(bare, 0, 60), true);
    expect(decodeSegmentHeader(bare, crc32c, 'x')).toMatchObject({ isRaw: false, isThinned: true });
    const bytes = headerOf(REWRITTEN.revision, true, false);
    const { logId, baseOffset, generation, revision, endOffset } = REWRITTEN;
    const values = { generation, revision, 'log id': logId, 'base offset': baseOffset };
    return { bytes, values: { ...values, 'end offset': endOffset, flags: 1 } };
  },
  'Header of a sparse index': () => {
    const { bytes, index } = indexOf();
    const { logId, baseOffset, generation } = SEGMENT;
    const found = SparseIndex.read(bytes, crc32c)!;
    expect(found.name).toEqual({ logId, baseOffset, generation });
    expect([...found.index.entries()]).toEqual([...index.entries()]);
    return {
      bytes,
      values: {
        ...{ 'log id': logId, 'base offset': baseOffset, generation, entries: 2 },
        ...{ 'covered size': big(49) + 50_000, 'next offset': big(51) },
        ...{ 'max timestamp': big(52), 'max timestamp offset': big(50) },
      },
    };
  },
  'Entry of a sparse index': () => ({
    bytes: indexOf().bytes.subarray(68 + 24),
    values: { offset: big(50), position: big(49), 'max timestamp before': big(48) },
  }),
  'Header of a record index': () => {
    const header = {
      name: { ...SEGMENT, segmentBytes: big(54) },
      ...{ directoryAt: big(55), directoryBytes: 0xf000_0038, directorySum: 0xf000_0039 },
      ...{ runs: 0xf000_003a, unread: 0xf000_003b },
    };
    const bytes = encodeIndexHeader(header, crc32c);
    expect(decodeIndexHeader(bytes, crc32c)).toEqual(header);
    const { logId, baseOffset, generation, revision } = SEGMENT;
    const { directoryAt, directoryBytes, directorySum, runs, unread } = header;
    return {
      bytes,
      values: {
        ...{ 'log id': logId, 'base offset': baseOffset, generation, revision, runs, unread },
        ...{ 'segment size': big(54), 'directory at': directoryAt },
        ...{ 'directory size': directoryBytes, 'directory sum': directorySum },
      },
    };
  },
  'Entry of a record index': () => ({
    bytes: runOf().bytes.subarray(16, 32),
    values: { hash: 0xf000_0042, seconds: 4, offset: big(57) },
  }),
  'Run in the directory of a record index': () => ({
    bytes: encodeDirectory([RUN]).subarray(0, 48),
    values: {
      ...{ 'first offset': big(56), 'last offset': big(57), position: big(60) },
      ...{ 'earliest time': big(58), 'latest time': big(58) + 4000, entries: 257, blocks: 2 },
    },
  }),
  'Block in the directory of a record index': () => ({
    bytes: encodeDirectory([RUN]).subarray(48 + 16),
    values: { hash: 0xf000_0042, sum: RUN.blockSums[1]!, offset: big(57) },
  }),
  Checkpoint: () => {
    const bytes = encodeCheckpoint(CHECKPOINT, crc32c);
    expect(decodeCheckpoint(bytes, crc32c, 'x')).toEqual(CHECKPOINT);
    const { sequence, replayLsn, capturedLsn } = CHECKPOINT;
    const values = { sequence, 'replay LSN': replayLsn, 'captured LSN': capturedLsn };
    return { bytes, values: { ...values, entries: 2, 'body size': 2 * 112 } };
  },
  'Entry of a checkpoint': () => ({
    bytes: encodeCheckpoint({ ...CHECKPOINT, entries: [ENTRY] }, crc32c).subarray(48),
    values: {
      ...{ 'log id': ENTRY.logId, flags: 1, 'committed seq': ENTRY.committedSeq },
      ...{ 'start offset': ENTRY.startOffset, 'settled seq': ENTRY.mark.settledSeq },
      ...{ 'settled offset': ENTRY.mark.settledOffset, generation: ENTRY.mark.generation },
      ...{ 'lowest generation': ENTRY.mark.generationMin, 'segment base': ENTRY.mark.segmentBase },
      ...{ 'segment length': ENTRY.mark.segmentLength, 'anchor seq': ENTRY.anchor.seq },
      ...{ 'anchor epoch': ENTRY.anchor.epoch, 'anchor chain': ENTRY.anchor.chain },
      ...{ 'anchor epoch first seq': ENTRY.anchor.epochFirstSeq },
      ...{ 'anchor next offset': ENTRY.anchor.nextOffset },
      ...{ 'anchor log time': ENTRY.anchor.logTimeMs },
    },
  }),
};

/** No encoder of its own: the pairs are in the WAL of a run. */
const COMMITS = 'Pair of a commits frame';

describe('the document of the storage format', () => {
  const tables = tablesIn();

  it('has a table for every kind, and none that nobody checks', () => {
    expect([...tables.keys()].sort()).toEqual([...Object.keys(WRITTEN), COMMITS].sort());
  });

  it.each(Object.keys(WRITTEN))('says of "%s" what the code writes and reads', (name) => {
    const { bytes, values } = WRITTEN[name]!();
    expectSaid(tables.get(name)!, bytes, values, name);
  });

  it('says what is in a commits frame', async () => {
    const { disk } = await folderOfRun();
    const bytes = disk.contents(FILES.wal);
    const codec = new frames.FrameCodec(crc32c);
    const head = new frames.FrameFields();
    const pairs: Uint8Array[] = [];
    for (let at = 4096; at < bytes.length; at += 8) {
      if (!codec.readHeader(bytes, at, head) || head.type !== frames.TYPE_COMMITS) continue;
      const payload = bytes.subarray(at + 64, at + 64 + head.payloadLength);
      expect(payload.length % tables.get(COMMITS)!.bytes).toBe(0);
      for (let i = 0; i < payload.length; i += 16) pairs.push(payload.subarray(i, i + 16));
    }
    // The log with a state in a file has two frames, and both are committed.
    const last = pairs.filter((pair) => pair[0] === STATE_LOG).pop()!;
    expectSaid(tables.get(COMMITS)!, last, { 'log id': STATE_LOG, 'committed seq': 2 }, COMMITS);
  });

  it('names the kinds and the flags of frames, and the flags of segments', () => {
    const numbersOf = (head: string): Record<string, number> =>
      Object.fromEntries(
        cellsBehind(head).map(([cell]) => {
          const [number, ...name] = cell!.split(' ');
          return [name.join(' '), Number(number)];
        }),
      );
    expect(numbersOf('| type | what |')).toEqual({
      group: frames.TYPE_GROUP,
      data: frames.TYPE_DATA,
      truncate: frames.TYPE_TRUNCATE,
      state: frames.TYPE_STATE,
      delete: frames.TYPE_DELETE,
      commits: frames.TYPE_COMMITS,
      install: frames.TYPE_INSTALL,
    });
    expect(numbersOf('| flag of a segment | what |')).toEqual({
      'as settled': RAW_FLAG,
      compacted: COMPACTED_FLAG,
      thinned: THINNED_FLAG,
      unthinned: UNTHINNED_FLAG,
    });
    expect(numbersOf('| flag | what |')).toEqual({
      batch: frames.HAS_BATCH,
      carried: frames.CARRIED,
      seal: frames.SEAL,
      'new salt': frames.NEW_SALT,
      'in file': frames.IN_FILE,
    });
  });

  it.each([
    ['node.json', '../../assembly/golden/node.json'],
    ['LOCK', '../../env/node/golden/LOCK.txt'],
  ])('names the members of %s', (name, golden) => {
    const text = readFileSync(new URL(golden, new URL('./golden/', import.meta.url)), 'utf8');
    const members = [...text.matchAll(/"(\w+)":/g)].map(([, member]) => member);
    expect(cellsBehind(`### Members of \`${name}\``).map(([member]) => member)).toEqual(members);
  });
});
