// Segments that lose what nobody needs: every needed record stays as it was, whatever is cut, joined or started again
// meanwhile, and a replica that is repaired or made anew from such segments knows as much as it must.
import { describe, expect, it } from 'vitest';
import { forEachBatch, readBatchHeader, stampBatch } from '../../src/records/batch.ts';
import { decodeRecords, encodeBatch } from '../../src/records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import type { SealedSegment, ShardStore, StoredLog } from '../../src/storage/api.ts';
import type { NeededOffsets } from '../../src/storage/compaction/needed.ts';
import {
  dropNeedless,
  type NeededResult,
  worthRewriting,
} from '../../src/storage/compaction/needed-pass.ts';
import type { CompactionTask } from '../../src/storage/compaction/tasks.ts';
import { compactionWork } from '../../src/storage/compaction/work.ts';
import { decodeSuperblock } from '../../src/storage/store-files.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import { allFrames, openOn, readAll, World } from './support/store-kit.ts';

const work = compactionWork({ crc32c });
const NO_EVENTS = new Uint8Array(0);

/** What this says of each offset. */
function neededBy(is: (offset: number) => boolean): NeededOffsets {
  const runsIn = (from: number, to: number) => {
    const runs: number[] = [];
    for (let at = from; at < to; at += 1) {
      if (!is(at)) continue;
      if (runs[runs.length - 1] === at) runs[runs.length - 1] = at + 1;
      else runs.push(at, at + 1);
    }
    return runs;
  };
  const countIn = (from: number, to: number) =>
    runsIn(from, to).reduce((sum, at, i) => sum + (i % 2 === 0 ? -at : at), 0);
  return { countIn, runsIn };
}

interface Sent {
  readonly offset: number;
  readonly value: string;
  readonly timestampMs: number;
}

class Scene {
  readonly world: World;
  disk: FaultDisk;
  store!: ShardStore;
  log!: StoredLog;
  readonly sent: Sent[] = [];
  readonly #random = new SeededRandom(11);

  constructor(world = new World()) {
    this.world = world;
    this.disk = this.world.newDisk();
  }

  async open(): Promise<this> {
    const opened = await openOn(this.world, this.disk);
    this.store = opened.store;
    this.log = opened.recovered[0]?.log ?? this.store.createLog(5, { durability: 'sync' });
    return this;
  }

  send(count: number, bytes: number, producerId = -1): void {
    const base = this.log.endOffset;
    const records = Array.from({ length: count }, (_, i) => ({
      offset: base + i,
      value: `${base + i} ${'v'.repeat(bytes)}`,
      timestampMs: 5_000 + this.#random.below(1_000),
    }));
    const batch = encodeBatch(
      records.map(({ value, timestampMs }) => ({
        timestampMs,
        key: null,
        value: encodeUtf8(value),
        headers: [{ name: 'h', value: encodeUtf8(value.slice(0, 4)) }],
      })),
      crc32c,
      producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence: base },
    ).slice();
    stampBatch(batch, 0, base, 1);
    this.sent.push(...records);
    this.log.append(1, this.log.lastLogTimeMs + 1, NO_EVENTS, batch, true);
  }

  async settle(): Promise<void> {
    this.store.startGroup();
    await this.world.advance(5);
    this.log.setCommitted(this.log.endSeq);
    await this.world.advance(20_000);
    for (let i = 0; i < 2; i += 1) {
      this.log.append(1, this.log.lastLogTimeMs, new Uint8Array(1), undefined, true);
      await this.world.drive(this.store.checkpoint());
    }
  }

  get counted(): readonly SealedSegment[] {
    return this.log.sealedSegments().filter(({ isCounted }) => isCounted);
  }

  get sealedEnd(): number {
    return this.counted.at(-1)?.endOffset ?? 0;
  }

  drop(
    group: readonly SealedSegment[],
    needed: NeededOffsets,
    run = (task: CompactionTask) => work(task),
  ): Promise<NeededResult> {
    const port = { run: async (task: CompactionTask) => run(task), paced: async () => undefined };
    return this.world.drive(dropNeedless(this.log, group, needed, port));
  }

  records(from = 0): Sent[] {
    const bytes = readAll(this.log, from);
    const found: Sent[] = [];
    forEachBatch(bytes, 0, bytes.length, (at, size) => {
      const decoded = decodeRecords(bytes, at, at + size);
      if (decoded.kind === 'fault') throw new Error(decoded.fault);
      for (const { offset, value, timestampMs, headers } of decoded.records) {
        const text = decodeUtf8(value!);
        expect(decodeUtf8(headers[0]!.value!)).toBe(text.slice(0, 4));
        found.push({ offset, value: text, timestampMs });
      }
    });
    return found;
  }
}

/** Some 190 batches of several records in about five segments. */
async function filled(batches = 190): Promise<Scene> {
  const scene = await new Scene().open();
  for (let i = 0; i < batches; i += 1) scene.send(1 + (i % 7), 150);
  await scene.settle();
  expect(scene.counted.length).toBeGreaterThan(batches > 100 ? 3 : 0);
  return scene;
}

describe('a segment that loses what nobody needs', () => {
  it.each([
    ['every ninth record', (at: number) => at % 9 === 0],
    ['one record of all', (at: number) => at === 3],
    ['none', () => false],
  ])('keeps %s as it was, also after a start', async (_name, is) => {
    const scene = await filled();
    const end = scene.sealedEnd;
    const segments = scene.counted;
    const before = scene.log.segmentBytes;
    const result = await scene.drop(segments, neededBy(is));
    expect(result).toMatchObject({ outcome: 'done', segments: segments.length });
    const left = scene.sent.filter(({ offset }) => offset >= end || is(offset));
    expect(scene.records()).toEqual(left);
    expect(result.recordsIn - result.recordsOut).toBe(scene.sent.length - left.length);
    expect(scene.log.segmentBytes).toBeLessThan(before - 0.8 * result.bytesIn);
    // A build that takes batches of queues for dense is kept away from now on.
    const superblock = decodeSuperblock(
      scene.disk.contents('shard-0/store.super'),
      crc32c,
      'superblock',
    );
    expect(superblock!.incompatible & 2).toBe(2);
    await scene.world.drive(scene.store.close());
    await scene.open();
    expect(scene.records()).toEqual(left);
    expect(scene.log.sealedSegments()).toHaveLength(1);
  });

  it('stays so where the state that let them go rots: the frames behind the one before say it again', async () => {
    const scene = await filled();
    const { world } = scene;
    const older = scene.log.committedSeq;
    scene.log.putState(older, new Uint8Array(50_000).fill(1));
    await world.advance(50);
    // Acknowledgements.
    for (let i = 0; i < 5; i += 1) {
      scene.log.append(1, scene.log.lastLogTimeMs, encodeUtf8(`ack ${i}`), undefined, true);
    }
    scene.store.startGroup();
    await world.advance(5);
    const newer = scene.log.endSeq;
    expect(newer).toBeGreaterThan(older + 4);
    scene.log.setCommitted(newer);
    scene.log.putState(newer, new Uint8Array(50_000).fill(2));
    await scene.settle();
    const is = (at: number) => at % 9 === 0;
    const end = scene.sealedEnd;
    expect((await scene.drop(scene.counted, neededBy(is))).outcome).toBe('done');
    for (let i = 0; i < 3; i += 1) await world.drive(scene.store.checkpoint());
    await world.drive(scene.store.close());
    const views = scene.disk.paths().filter((path) => path.endsWith('.view'));
    expect(views).toHaveLength(2);
    scene.disk.flipBit(views[1]!, 20_000);
    await scene.open();
    expect(scene.log.state()).toMatchObject({ seq: older });
    expect(scene.log.committedSeq).toBeGreaterThanOrEqual(newer);
    const frames = await allFrames(world, scene.log, older + 1);
    const acks = frames.filter(({ events }) => events.startsWith('ack'));
    expect(acks.map(({ seq }) => seq)).toEqual([4, 3, 2, 1, 0].map((i) => newer - i));
    const left = scene.sent.filter(({ offset }) => offset >= end || is(offset));
    expect(scene.records()).toEqual(left);
  });

  it('may lose more of it again and again, and lends without a tombstone in question', async () => {
    const scene = await filled();
    const end = scene.sealedEnd;
    for (const every of [4, 8, 16]) {
      const is = (at: number) => at % every === 0;
      expect((await scene.drop(scene.counted, neededBy(is))).outcome).toBe('done');
      expect(scene.records()).toEqual(
        scene.sent.filter(({ offset }) => offset >= end || is(offset)),
      );
    }
    const loan = (await scene.world.drive(scene.log.lend(0, end)))!;
    expect(loan.facts).toMatchObject({ isRaw: false, isThinned: false, needlessGone: true });
    loan.release();
  });

  it.each([0, 1])(
    'says so of number %i when nothing is left of it, and so does who has it from there',
    async (index) => {
      const scene = await filled();
      const gone = scene.counted[index]!;
      await scene.drop(
        [gone],
        neededBy(() => false),
      );
      scene.log.putState(scene.log.committedSeq, NO_EVENTS);
      await scene.world.advance(50);
      const donation = (await scene.world.drive(scene.log.donate()))!;
      const needless = { compactedEnd: gone.endOffset, thinnedEnd: 0, needlessGone: true };
      expect(donation.facts).toEqual(needless);
      const other = await new Scene(scene.world).open();
      const install = other.log.beginInstall({ kind: 'scratch', startOffset: 0 }, donation.facts);
      for (const { file, position, length } of donation.ranges) {
        const bytes = new Uint8Array(length);
        file.readSync(bytes, position);
        expect(install.adopt(bytes)).toBe(length);
      }
      await scene.world.drive(install.commit(donation.snapshot));
      donation.release();
      for (const { log } of [scene, other]) {
        const loan = (await scene.world.drive(log.lend(gone.baseOffset, gone.endOffset)))!;
        expect(loan.facts).toMatchObject({ isRaw: false, isThinned: false, needlessGone: true });
        loan.release();
      }
      const behind = (await scene.world.drive(
        other.log.lend(gone.endOffset, other.log.endOffset),
      ))!;
      expect(behind.facts.isRaw).toBe(true);
      behind.release();
    },
  );

  it('stays as it is where too little would go', async () => {
    const scene = await filled();
    const [first] = scene.counted;
    const files = scene.disk.paths();
    const result = await scene.drop(
      [first!],
      neededBy((at) => at % 8 > 0),
    );
    expect(result.outcome).toBe('kept');
    expect(scene.records()).toEqual(scene.sent);
    expect(scene.disk.paths()).toEqual(files);
  });

  it('keeps the batches of producers, without records if need be', async () => {
    const scene = await new Scene().open();
    scene.send(2, 100, 7);
    for (let i = 0; i < 60; i += 1) scene.send(3, 300);
    await scene.settle();
    await scene.drop(
      scene.counted,
      neededBy(() => false),
    );
    expect(readBatchHeader(readAll(scene.log), 0)).toMatchObject({
      baseOffset: 0,
      lastOffsetDelta: 1,
      producerId: 7,
      recordCount: 0,
    });
  });

  it('is void when its log starts behind one of its sources, and the others stay', async () => {
    const scene = await filled();
    const start = scene.counted[1]!.baseOffset;
    let tasks = 0;
    const result = await scene.drop(
      scene.counted,
      neededBy((at) => at % 9 === 0),
      (task) => {
        tasks += 1;
        if (tasks === 2) scene.log.setStartOffset(start);
        return work(task);
      },
    );
    expect(result.outcome).toBe('void');
    expect(scene.records(start)).toEqual(scene.sent.filter(({ offset }) => offset >= start));
  });

  it('gives what has rotted no new checksum', async () => {
    const scene = await filled();
    const [path] = scene.disk.paths().filter((each) => each.endsWith('.seg'));
    scene.disk.flipBit(path!, 700);
    await expect(
      scene.drop(
        scene.counted,
        neededBy(() => false),
      ),
    ).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
    expect(scene.disk.paths().some((each) => each.includes('.clean'))).toBe(false);
    expect(scene.log.damagedSegments).toBe(1);
  });

  it.each([
    ['of one of many', 5],
    ['of the first', 0],
    ['of the last', -1],
  ])('believes no offset that rotted, which no checksum covers: %s', async (_name, index) => {
    for (const bit of Array(16).keys()) {
      const scene = await filled(60);
      const [path] = scene.disk.paths().filter((each) => each.endsWith('.seg'));
      const bytes = scene.disk.contents(path!);
      const places: number[] = [];
      forEachBatch(bytes, 64, bytes.length, (at) => places.push(at));
      scene.disk.flipBit(path!, places.at(index)! + 6 + (bit >> 3), 1 << (bit & 7));
      const drop = scene.drop(
        scene.counted.slice(0, 1),
        neededBy((at) => at % 9 === 0),
      );
      await expect(drop).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
      expect(scene.log.damagedSegments).toBe(1);
    }
  });

  it('is there before or after, wherever the power fails', async () => {
    for (let cutAt = 1; ; cutAt += 1) {
      expect(cutAt).toBeLessThan(200);
      const scene = await filled(60);
      const end = scene.sealedEnd;
      const is = (at: number) => at % 9 === 0;
      const { world, disk } = scene;
      let calls = 0;
      let next: FaultDisk | undefined;
      disk.onCall = () => {
        calls += 1;
        if (calls === cutAt) {
          world.clear();
          next = disk.powerCut(new SeededRandom(cutAt), (ms, fire) =>
            world.at(world.nowMs + ms, fire),
          );
        }
        return undefined;
      };
      let isOver = false;
      scene.drop(scene.counted, neededBy(is)).then(
        () => {
          isOver = true;
        },
        () => undefined,
      );
      for (let i = 0; i < 100 && !isOver && next === undefined; i += 1) await world.advance(1);
      if (next === undefined) {
        expect(cutAt).toBeGreaterThan(8);
        return;
      }
      scene.disk = next;
      await scene.open();
      const found = scene.records();
      const wanted = scene.sent.filter(({ offset }) => offset >= end || is(offset));
      expect(found.length === scene.sent.length || found.length === wanted.length).toBe(true);
      if (found.length === wanted.length) expect(found).toEqual(wanted);
    }
  });
});

describe('neighbours that are worth it', () => {
  const MAX = 1 << 20;
  const sealed = (i: number, bytes: number, generation = 1): SealedSegment => ({
    baseOffset: 100 * i,
    endOffset: 100 * (i + 1),
    bytes,
    generation,
    isCounted: true,
    isDone: false,
    isDamaged: false,
  });
  const bases = (group: readonly SealedSegment[] | undefined) =>
    group?.map(({ baseOffset }) => baseOffset / 100);
  const unknown = () => undefined;

  it('are those of which less than half is needed', () => {
    const segments = [0, 1, 2, 3].map((i) => sealed(i, MAX));
    const needed = neededBy((at) => at < 50 || (at >= 100 && at < 149) || at >= 300);
    expect(bases(worthRewriting(segments, needed, MAX, unknown))).toEqual([1, 2]);
    const all = neededBy(() => true);
    expect(worthRewriting(segments, all, MAX, unknown)).toBeUndefined();
  });

  it('fit into one segment, are of one life, and not too many', () => {
    const half = neededBy((at) => at % 100 < 45);
    const three = [0, 1, 2].map((i) => sealed(i, MAX));
    expect(bases(worthRewriting(three, half, MAX, unknown))).toEqual([0, 1]);
    const lives = [sealed(0, MAX), sealed(1, MAX, 2)];
    const none = neededBy(() => false);
    expect(bases(worthRewriting(lives, none, MAX, unknown))).toEqual([0]);
    const many = Array.from({ length: 20 }, (_, i) => sealed(i, MAX));
    expect(worthRewriting(many, none, MAX, unknown)).toHaveLength(16);
  });

  it('are none that is damaged', () => {
    const none = neededBy(() => false);
    const segments = [sealed(0, MAX), { ...sealed(1, MAX), isDamaged: true }, sealed(2, MAX)];
    expect(bases(worthRewriting(segments, none, MAX, unknown))).toEqual([0]);
    expect(bases(worthRewriting(segments.slice(1), none, MAX, unknown))).toEqual([2]);
  });

  it('are eight small ones as well', () => {
    const all = neededBy(() => true);
    const small = Array.from({ length: 8 }, (_, i) => sealed(i, MAX / 16));
    expect(worthRewriting(small, all, MAX, unknown)).toHaveLength(8);
    expect(worthRewriting(small.slice(1), all, MAX, unknown)).toBeUndefined();
  });

  it('are not those that hold what they are known to hold, however few offsets that is', () => {
    const few = neededBy((at) => at % 100 < 10);
    const segments = [sealed(0, MAX)];
    expect(worthRewriting(segments, few, MAX, () => 10)).toBeUndefined();
    expect(worthRewriting(segments, few, MAX, () => 21)).toHaveLength(1);
    expect(
      worthRewriting(
        [sealed(0, 0)],
        neededBy(() => false),
        MAX,
        unknown,
      ),
    ).toBeUndefined();
  });
});
