// Every kind of file that a store leaves in its folder, byte for byte as the golden files have it, and those files
// read back: by the store, and by a reader that knows the format's document and no code of ours. The bytes are a
// promise to folders that exist: `UPDATE=1 npx vitest run test/storage/golden.test.ts` writes the golden files anew,
// which goes with another version or feature bit, and with the rules in docs/internals/storage-format.md.
import { readdirSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { baseOffset, forEachBatch } from '../../src/records/batch.ts';
import { equalBytes } from '../../src/std/bytes.ts';
import { REWRITTEN_SEGMENTS } from '../../src/storage/store-files.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  ADOPTED_LOG,
  BATCH_LOG,
  FILES,
  folderOfRun,
  INSTALLED_LOG,
  LARGE_STATE_BYTES,
  OPTIONS,
  SMALL_STATE,
  STATE_LOG,
} from './support/format-run.ts';
import { decodeGolden, encodeGolden, goldenBytes, goldenText } from './support/golden-file.ts';
import {
  indexIn,
  marksIn,
  readFolder,
  recordIndexIn,
  segmentHeaderIn,
  superblockIn,
  viewIn,
} from './support/independent-reader.ts';
import { IDENTITY, openOn, readAll, World } from './support/store-kit.ts';

/** `shard-0/logs/05/5/NAME` is `golden/folder/logs.05.5.NAME.txt`. */
function goldenName(path: string): string {
  return `folder/${path.slice('shard-0/'.length).replaceAll('/', '.')}.txt`;
}

const KINDS = Object.entries(FILES);
const LEFT_BATCHES = [0, 2, 4, 6, 8, 9, 10, 11, 12, 13];

/** The golden files as a folder. */
function goldenFolder(world: World): FaultDisk {
  const disk = world.newDisk();
  for (const path of [...Object.values(FILES), 'shard-0/wal/00000002.wal']) {
    const folders = path.split('/').slice(0, -1);
    for (const [i] of folders.entries()) disk.makeDirectory(folders.slice(0, i + 1).join('/'));
    disk.replaceFile(path, goldenBytes(goldenName(path)));
  }
  return disk;
}

describe('the files of a folder', () => {
  let disk: FaultDisk;

  beforeAll(async () => {
    ({ disk } = await folderOfRun());
  });

  it('are all here', () => {
    // The second WAL file is a spare: pre-written, with nothing in it.
    expect(disk.paths()).toEqual([...Object.values(FILES), 'shard-0/wal/00000002.wal'].sort());
  });

  it.each([...KINDS, ['spare', 'shard-0/wal/00000002.wal']])('%s is what it was', (_, path) => {
    const bytes = disk.contents(path!);
    const text = encodeGolden(bytes);
    expect(equalBytes(decodeGolden(text), bytes)).toBe(true);
    expect(text).toBe(goldenText(goldenName(path!), text));
  });

  it('and no golden file is left over', () => {
    const folder = new URL('./golden/folder/', import.meta.url);
    expect(readdirSync(folder).sort()).toEqual(
      disk.paths().map((path) => goldenName(path).slice('folder/'.length)),
    );
  });
});

describe('a folder of golden files', () => {
  it('is opened by the store, with all that is in it', async () => {
    const world = new World();
    const disk = goldenFolder(world);
    const { store, recovered } = await openOn(world, disk, OPTIONS, 2);
    expect(recovered.map(({ log, needsRepair }) => [log.logId, needsRepair]).sort()).toEqual([
      [BATCH_LOG, false],
      [STATE_LOG, false],
      [INSTALLED_LOG, false],
      [ADOPTED_LOG, false],
    ]);
    const log = store.log(BATCH_LOG)!;
    const bases: number[] = [];
    const all = readAll(log);
    forEachBatch(all, 0, all.length, (at) => bases.push(baseOffset(all, at)));
    expect(bases).toEqual(LEFT_BATCHES);
    expect([log.endOffset, log.endSeq, log.committedSeq]).toEqual([14, 14, 14]);
    expect(log.state()).toEqual({ seq: 13, bytes: SMALL_STATE });
    const state = store.log(STATE_LOG)!.state()!;
    expect([state.seq, state.bytes.length]).toEqual([2, LARGE_STATE_BYTES]);
    const installed = store.log(INSTALLED_LOG)!;
    expect([installed.state(), installed.endSeq]).toEqual([state, 2]);
    const adopted = store.log(ADOPTED_LOG)!;
    expect([adopted.endOffset, adopted.endSeq]).toEqual([13, 13]);
    const adoptedBytes = readAll(adopted);
    expect(equalBytes(adoptedBytes, all.subarray(0, adoptedBytes.length))).toBe(true);
    const factsOf = async (from: number, to: number) => {
      const loan = (await world.drive(adopted.lend(from, to)))!;
      loan.release();
      return loan.facts;
    };
    expect(await factsOf(0, 8)).toMatchObject({ isRaw: false, isThinned: false });
    expect(await factsOf(8, 13)).toMatchObject({ isRaw: true, isThinned: false });
    expect(store.bootCount).toBe(2);
  });

  it('is read from the document alone, with the same in it', () => {
    const disk = goldenFolder(new World());
    const { logs, soundSlots, vouched } = readFolder(disk, 'shard-0');
    expect(soundSlots).toBe(2);
    expect(vouched).not.toEqual([]);
    const log = logs.get(BATCH_LOG)!;
    expect([...log.settled.keys()].sort((a, b) => a - b)).toEqual(LEFT_BATCHES);
    expect(log.settledOffset).toBe(14);
    expect(logs.has(STATE_LOG)).toBe(true);
    expect(logs.get(INSTALLED_LOG)?.baseSeq).toBe(2);

    const read = <T>(kind: keyof typeof FILES, reader: (bytes: Uint8Array) => T): T =>
      reader(disk.contents(FILES[kind]));
    expect(read('superblock', superblockIn)).toEqual({
      ...IDENTITY,
      major: 1,
      minor: 0,
      compatible: 0,
      readOnlyCompatible: 0,
      incompatible: REWRITTEN_SEGMENTS,
    });
    // A start, then an orderly stop.
    expect(read('marks', marksIn)).toEqual({ sequence: 2, starts: 1, flags: 1 });
    const whose = { version: 1, logId: BATCH_LOG, generation: 1 };
    const plain = { ...whose, revision: 0, endOffset: 0, flags: 0 };
    expect(read('segment', segmentHeaderIn)).toEqual({ ...plain, baseOffset: 8 });
    expect(read('activeSegment', segmentHeaderIn)).toEqual({ ...plain, baseOffset: 12 });
    const rewritten = { ...plain, baseOffset: 0, revision: 1, endOffset: 8 };
    expect(read('rewrittenSegment', segmentHeaderIn)).toEqual(rewritten);
    const adopted = { ...plain, logId: ADOPTED_LOG, generation: 2 };
    const compacted = { ...adopted, baseOffset: 0, flags: 2 };
    expect(read('adoptedSegment', segmentHeaderIn)).toEqual(compacted);
    expect(read('adoptedRawSegment', segmentHeaderIn)).toEqual({ ...adopted, baseOffset: 8 });
    for (const [kind, segment, offsets] of [
      ['index', 'segment', [8, 11]],
      ['rewrittenIndex', 'rewrittenSegment', [0, 6]],
    ] as const) {
      const index = read(kind, indexIn)!;
      const bytes = disk.contents(FILES[segment]);
      const { logId, coveredBytes, entries } = index;
      expect([logId, coveredBytes]).toEqual([BATCH_LOG, bytes.length]);
      expect(entries.map(({ offset }) => offset)).toEqual(offsets);
      for (const { offset, position } of entries) expect(baseOffset(bytes, position)).toBe(offset);
    }
    const { entries, ...found } = read('recordIndex', recordIndexIn)!;
    expect(found).toEqual({
      ...{ version: 1, logId: BATCH_LOG, baseOffset: 8, generation: 1, revision: 0, unread: 0 },
      segmentBytes: disk.contents(FILES.segment).length,
    });
    // The keys of these are "key 0" to "key 2", in turns; all of one second.
    expect(entries.map(({ offset }) => offset).sort((a, b) => a - b)).toEqual([8, 9, 10, 11]);
    expect(entries.map(({ hash }) => hash)).toEqual(
      entries.map(({ hash }) => hash).sort((a, b) => a - b),
    );
    expect(new Set(entries.map(({ hash }) => hash)).size).toBe(3);
    expect(new Set(entries.map(({ timeMs }) => timeMs))).toEqual(new Set([1_700_000_000_008]));
    const { state, ...record } = read('state', viewIn)!;
    expect(state.length).toBe(LARGE_STATE_BYTES);
    expect(record).toMatchObject({
      seq: 2,
      version: 1,
      epoch: 1,
      epochFirstSeq: 1,
      logTimeMs: 1_700_000_000_001,
      endOffset: 0,
      startOffset: 0,
    });
  });
});
