// A random run of a store with power cuts and kills in it. What was durable is there, what is there was
// appended, chains and batches are whole, committed frames stay, and a second recovery finds what the first
// one found. Before each recovery a reader that shares no code with storage looks at the files. Knows no test
// runner: mutants of the storage room are tried with it too.
import assert from 'node:assert/strict';
import type { DiskError } from '../../../src/env/environment.ts';
import { equalBytes, readU32 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import type {
  OpenedShardStore,
  Rewrite,
  SealedSegment,
  StoredLog,
} from '../../../src/storage/api.ts';
import { dropNeedless } from '../../../src/storage/compaction/needed-pass.ts';
import type { FaultDisk } from './fault-disk.ts';
import { type Findings, isSoundView, readFolder } from './independent-reader.ts';
import { type Ledger, NEEDLESS_PORT, neededBut, newLedger, without } from './power-ledger.ts';
import { allFrames, appendBatch, bytesOf, eventsOf, openOn, readAll, World } from './store-kit.ts';

/** With header, batch header, record and events a frame of 1,008 bytes. */
const UNIFORM_BYTES = 866;
const LOGS = 3;
/** So many that a checkpoint has several blocks, and may be torn. */
const MANY_LOGS = 80;

export class PowerRun {
  readonly world = new World();
  readonly random: SeededRandom;
  readonly ledgers = new Map<number, Ledger>();
  readonly states = new Map<number, number>();
  disk: FaultDisk;
  opened!: OpenedShardStore;
  boots = 0;
  /** Frames of one size, the fourth of which ends with a block: what a torn group leaves behind fits under another. */
  readonly #isUniform: boolean;
  readonly #rewrites: SeededRandom | undefined;

  /** @param isRewriting segments are rewritten too, by dice of their own: the run without is as it was. */
  constructor(seed: number, isRewriting = true) {
    this.random = new SeededRandom(seed);
    this.#rewrites = isRewriting ? new SeededRandom(seed + 1_000_000) : undefined;
    this.disk = this.world.newDisk();
    const logs = this.random.below(8) === 0 ? MANY_LOGS : LOGS;
    this.#isUniform = this.random.below(4) === 0;
    for (let id = 1; id <= logs; id += 1) this.ledgers.set(id, newLedger());
  }

  async open(): Promise<void> {
    this.boots += 1;
    this.opened = await openOn(
      this.world,
      this.disk,
      {
        checkpointBytes: 32 * 1024,
        settleAgeMs: 20,
        sealAfterMs: 5,
        uncommittedBytesMax: 1 << 20,
        onSnapshotWanted: (logId) => this.#snapshot(logId),
      },
      this.random.u32(),
    );
    this.opened.store.onDurable = (changed) => {
      for (const log of changed) this.#durable(log);
    };
  }

  #snapshot(logId: number): { seq: number; bytes: Uint8Array } | undefined {
    const log = this.opened.store.log(logId);
    if (log === undefined || this.random.below(3) === 0) return undefined;
    return { seq: log.committedSeq, bytes: stateAt(log, log.committedSeq) };
  }

  #durable(log: StoredLog): void {
    const ledger = this.ledgers.get(log.logId)!;
    ledger.durableSeq = log.durableSeq;
    ledger.durableChain = log.chainAt(log.durableSeq)!;
  }

  log(id: number): StoredLog {
    const { store } = this.opened;
    return store.log(id) ?? store.createLog(id, { durability: 'sync' });
  }

  act(): void {
    const log = this.log(1 + this.random.below(this.ledgers.size));
    const ledger = this.ledgers.get(log.logId)!;
    if (this.#rewrites?.below(16) === 0) this.#rewrite(this.#rewrites);
    const dice = this.random.below(100);
    if (dice < 55) this.#append(log, ledger, dice);
    else if (dice < 75) this.#commit(log, ledger);
    else if (dice < 80) this.#truncate(log, ledger);
    else if (dice < 84 && log.committedSeq >= log.firstSeq) {
      log.putState(log.committedSeq, stateAt(log, log.committedSeq));
    } else if (dice < 97) this.opened.store.startGroup();
    else if (dice < 98) {
      // A checkpoint may be cut off in the middle: its promise then never settles.
      this.opened.store.checkpoint().catch(() => undefined);
    } else this.#release(log, ledger);
  }

  /** The log starts later, as often as not behind everything that is settled. */
  #release(log: StoredLog, ledger: Ledger): void {
    const span = ledger.committedOffset - ledger.startOffset;
    // After a cut less may be known to be committed than was before.
    if (span < 0) return;
    const to = ledger.startOffset + Math.min(span, this.random.below(2 * span + 1));
    const sum = sumTo(log, { ...ledger, startOffset: to });
    // Before it is asked for: the power may fail while files are removed.
    ledger.startOffset = to;
    ledger.committedSum = sum;
    // Segments of another size from here on, cut by time as well.
    log.limitSegments(4_000 + this.random.below(40_000), this.random.below(100));
    log.setStartOffset(to);
  }

  /** The first call that looks into the folder of a log fails where the disk does. */
  #sealedOf(log: StoredLog): readonly SealedSegment[] {
    try {
      return log.sealedSegments();
    } catch (error) {
      if ((error as DiskError).code !== 'EIO') throw error;
      return [];
    }
  }

  /** Neighbouring segments lose some of their batches; the power may fail at any step of it. */
  #rewrite(random: SeededRandom): void {
    const log = this.log(1 + random.below(this.ledgers.size));
    const ledger = this.ledgers.get(log.logId)!;
    const sealed = this.#sealedOf(log);
    if (sealed.length === 0) return;
    const from = random.below(sealed.length);
    const to = Math.min(sealed.length - 1, from + random.below(3));
    const isDone = random.below(2) === 0;
    const rewrite = log.beginRewrite(sealed[from]!.baseOffset, sealed[to]!.endOffset);
    if (rewrite === undefined) return;
    const share = random.below(4);
    const left = new Set<number>();
    const pieces = rewrite.sources.map(({ file, position, length }) => {
      const bytes = new Uint8Array(length);
      assert.equal(file.readSync(bytes, position), length);
      return without(bytes, (base) => {
        const isLeft = share > 0 && random.below(4) < share;
        if (isLeft) left.add(base);
        return isLeft;
      });
    });
    // Before it begins: from here on they may be missing, whatever comes.
    for (const base of left) ledger.spare.add(base);
    ledger.committedSum = sumTo(log, ledger);
    const group = sealed.slice(from, to + 1);
    const work = async (): Promise<void> => {
      const outcome = isDone
        ? await this.#compact(rewrite, pieces, random)
        : (await dropNeedless(log, group, neededBut(left), NEEDLESS_PORT)).outcome;
      if (outcome === 'done') for (const base of left) ledger.gone.add(base);
    };
    // Half of them are what compaction by key does, and half what becomes of a queue.
    if (!isDone) rewrite.abort();
    // It may be cut off in the middle, or find no room.
    work().catch(() => undefined);
  }

  async #compact(
    rewrite: Rewrite,
    pieces: readonly Uint8Array[],
    random: SeededRandom,
  ): Promise<'done' | 'void'> {
    for (const piece of pieces) await rewrite.append(piece);
    if (random.below(8) > 0) return rewrite.commit();
    rewrite.abort();
    return 'void';
  }

  #append(log: StoredLog, ledger: Ledger, dice: number): void {
    const { chain: before, endOffset: baseOffset } = log;
    // Up to the last byte of the WAL: batches of clients end before (space.test.ts).
    log.usesReserve = true;
    if (dice < 15) {
      const epoch = Math.max(1, log.lastEpoch) + (dice < 2 ? 1 : 0);
      const size = this.random.below(dice === 3 ? 12_000 : 200);
      const events = eventsOf('v'.repeat(size));
      log.append(epoch, log.lastLogTimeMs + 1, events, undefined, dice < 8);
    } else {
      const mixed = this.random.below(10) === 0 ? 9000 : this.random.below(900);
      const size = this.#isUniform ? UNIFORM_BYTES : mixed;
      appendBatch(log, size, { awaited: dice < 50, fill: this.random.below(255) });
    }
    this.#note(log, ledger, before, baseOffset);
  }

  #note(log: StoredLog, ledger: Ledger, before: number, baseOffset: number): void {
    const { endSeq: seq, endOffset } = log;
    ledger.byChain.set(log.chain, { seq, endOffset, before, baseOffset, crc: crcOfBatch(log) });
  }

  #commit(log: StoredLog, ledger: Ledger): void {
    // Like a log with one replica: committed is what is durable here.
    const to = log.durableSeq - this.random.below(4);
    if (to <= log.committedSeq) return;
    log.setCommitted(to);
    // Read first: the power may fail while it is read.
    const sum = sumTo(log, { ...ledger, committedOffset: log.offsetAt(to)! });
    ledger.committedSeq = to;
    ledger.committedChain = log.chainAt(to)!;
    ledger.committedOffset = log.offsetAt(to)!;
    ledger.committedSum = sum;
  }

  #truncate(log: StoredLog, ledger: Ledger): void {
    const span = log.endSeq - log.committedSeq;
    if (span === 0) return;
    const to = log.committedSeq + this.random.below(span + 1);
    if (to >= log.endSeq) return;
    log.truncate(to);
    if (to < ledger.durableSeq) {
      ledger.durableSeq = to;
      ledger.durableChain = log.chainAt(to)!;
    }
    // The next frame is of a new epoch, as after a change of leader.
    const before = log.chain;
    log.append(log.lastEpoch + 1, log.lastLogTimeMs + 1, eventsOf('epoch'), undefined, true);
    this.#note(log, ledger, before, log.endOffset);
  }

  /** @param kind by the dice if it is not said */
  cut(kind?: 'power' | 'kill'): void {
    this.world.clear();
    const later = (ms: number, fire: () => void): unknown =>
      this.world.at(this.world.nowMs + ms, fire);
    const isKill = kind === undefined ? this.random.below(4) === 0 : kind === 'kill';
    this.disk = isKill ? this.disk.kill(later) : this.disk.powerCut(this.random, later);
  }

  /** The cut will come somewhere in a checkpoint. */
  async beginCheckpoint(): Promise<void> {
    this.opened.store.checkpoint().catch(() => undefined);
    for (let events = this.random.below(24); events > 0; events -= 1) {
      await new Promise((resolve) => setImmediate(resolve));
      this.world.step();
    }
  }

  /**
   * Two cuts that meet in one place: a group loses its first block, and the group that is then written there
   * loses all others. What is left of the first has the right LSNs, and frames that begin where those of the
   * second do.
   */
  async tearTwice(): Promise<void> {
    for (const keeps of [(block: number) => block > 0, (block: number) => block === 0]) {
      // Nothing else is in the group, nothing under way, and there is room for batches.
      this.disk.spaceBytes = Number.POSITIVE_INFINITY;
      await this.world.advance(50);
      if (this.opened.store.isShortOfSpace) await this.world.advance(3000);
      if (this.opened.store.failure !== undefined) return;
      const log = this.log(1);
      const ledger = this.ledgers.get(1)!;
      for (let i = 0; i < 10; i += 1) {
        const { chain: before, endOffset: baseOffset } = log;
        appendBatch(log, UNIFORM_BYTES, { fill: this.random.below(255) });
        this.#note(log, ledger, before, baseOffset);
      }
      this.opened.store.startGroup();
      this.world.clear();
      this.disk = this.disk.powerCut(tearing(keeps), (ms, fire) =>
        this.world.at(this.world.nowMs + ms, fire),
      );
      this.checkFiles();
      await this.open();
      await this.check();
    }
  }

  /** A stop in order. */
  close(): Promise<void> {
    return this.world.drive(this.opened.store.close());
  }

  /** One call of this life fails, or space runs out, if the dice say so. */
  armFailure(): void {
    const { disk } = this;
    const dice = this.random.below(12);
    if (dice === 0) disk.spaceBytes = this.random.below(200_000);
    if (dice > 2) return;
    const wanted = dice === 1 ? 'sync' : 'write';
    let left = this.random.below(40);
    disk.tornBytes = (length) => this.random.below(length + 1);
    disk.onCall = (call) => {
      if (call !== wanted) return undefined;
      left -= 1;
      return left === -1 ? 'EIO' : undefined;
    };
  }

  /** Bits rot in what is derived, or is there twice: a start must not notice. */
  rotSpares(): void {
    const dice = this.random.below(6);
    if (dice > 2) return;
    const pattern = [/\/ckpt\.[ab]$/, /\.idx$/, /\.view$/][dice]!;
    const paths = this.disk.paths().filter((path) => pattern.test(path));
    const path = paths[this.random.below(Math.max(1, paths.length))];
    if (path === undefined) return;
    // The other slot, or state, stands in; one that the cut has torn, or that has rotted before, cannot.
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    const isAlone =
      (dice === 0 && readFolder(this.disk, 'shard-0').soundSlots < 2) ||
      (dice === 2 &&
        paths.some((each) => each.startsWith(folder) && !isSoundView(this.disk.contents(each))));
    if (isAlone) return;
    const size = this.disk.contents(path).length;
    if (size > 0) this.disk.flipBit(path, this.random.below(size), 1 << this.random.below(8));
  }

  /** A bit rots where a later group says that all is durable. */
  rotWal(): void {
    const { vouched } = readFolder(this.disk, 'shard-0');
    const group = vouched[this.random.below(Math.max(1, vouched.length))];
    if (group === undefined) return;
    const at = group.at + this.random.below(group.size);
    this.disk.flipBit(group.path, at, 1 << this.random.below(8));
  }

  /** What is on the disk, before anything repairs it: read by a stranger. */
  checkFiles(): void {
    const findings = readFolder(this.disk, 'shard-0');
    for (const [id, ledger] of this.ledgers) {
      if (ledger.durableSeq > 0) checkLog(findings, id, ledger);
    }
  }

  /** @param isRotten a quarantined log is as good as a whole one. */
  async check(isRotten = false): Promise<void> {
    for (const { log, needsRepair } of this.opened.recovered) {
      const ledger = this.ledgers.get(log.logId)!;
      if (isRotten && needsRepair) continue;
      const errors = this.world.lines.filter((line) => line.level === 'error').slice(-6);
      assert(!needsRepair, JSON.stringify(errors));
      assert(log.endSeq >= ledger.durableSeq, `ends at ${log.endSeq} of ${ledger.durableSeq}`);
      if (log.endSeq > 0) {
        const known = ledger.byChain.get(log.chain);
        assert.equal(known?.seq, log.endSeq);
        assert.equal(known.endOffset, log.endOffset);
      }
      if (log.firstSeq - 1 <= ledger.durableSeq) {
        assert.equal(log.chainAt(ledger.durableSeq), ledger.durableChain);
      }
      assert(log.committedSeq <= log.endSeq);
      // Whoever owns the log moves its start again when it reads the frame that said so, if that is there.
      if (this.random.below(2) === 0) log.setStartOffset(ledger.startOffset);
      const { startOffset } = ledger;
      assert(log.startOffset <= startOffset);
      assert.equal(sumTo(log, ledger), ledger.committedSum);
      // Throws if anything up to the end cannot be read.
      readAll(log, startOffset);
      await this.#checkState(log);
      this.#adopt(log, ledger);
    }
    for (const [id, ledger] of this.ledgers) {
      if (this.opened.store.log(id) === undefined) assert.equal(ledger.durableSeq, 0);
    }
  }

  async #checkState(log: StoredLog): Promise<void> {
    const state = log.state();
    assert((state?.seq ?? 0) <= log.committedSeq);
    const from = (state?.seq ?? 0) + 1;
    assert(
      log.firstSeq <= from,
      `log ${log.logId}: frames from ${log.firstSeq}, the state is of ${from - 1}`,
    );
    const frames = await allFrames(this.world, log, from);
    assert.equal(frames.length, log.endSeq - from + 1);
    if (state !== undefined && log.chainAt(state.seq) !== undefined) {
      assert(equalBytes(state.bytes, stateAt(log, state.seq)));
    }
  }

  /** From here on the recovered log is what counts. */
  #adopt(log: StoredLog, ledger: Ledger): void {
    ledger.durableSeq = log.durableSeq;
    ledger.durableChain = log.chain;
    ledger.committedSeq = log.committedSeq;
    ledger.committedChain = log.chainAt(log.committedSeq)!;
    ledger.committedOffset = log.offsetAt(log.committedSeq)!;
    ledger.committedSum = sumTo(log, ledger);
  }

  fingerprint(): string[] {
    const out: string[] = [];
    for (const { log } of this.opened.recovered) {
      out.push(`log ${log.logId} ${log.endSeq} ${log.endOffset} ${log.committedSeq} ${log.chain}`);
      const { startOffset } = this.ledgers.get(log.logId)!;
      for (let at = startOffset; at < log.endOffset; ) {
        const read = log.read(at, 1, log.endOffset);
        if (read.kind !== 'memory' && read.kind !== 'file') throw new Error(read.kind);
        at = read.nextOffset;
        out.push(`batch ${read.baseOffset} ${read.nextOffset} ${crc32c(bytesOf(read))}`);
      }
    }
    return out;
  }
}

/** Dice for a cut that tears every write that is not synced, and keeps these of its blocks. */
function tearing(keeps: (block: number) => boolean): Pick<SeededRandom, 'below'> {
  let block = 0;
  return {
    below(n) {
      // Of three fates, the last is to be torn; after it each block is asked for.
      if (n === 3) {
        block = 0;
        return 2;
      }
      block += 1;
      return keeps(block - 1) ? 0 : 1;
    },
  };
}

/** Every frame that was durable, and every committed batch, is in the files; nothing else was made up. */
function checkLog({ logs }: Findings, id: number, ledger: Ledger): void {
  const found = logs.get(id);
  assert(found !== undefined, `log ${id} is nowhere`);
  for (const frame of found.frames.values()) {
    const known = ledger.byChain.get(frame.chain);
    assert(known?.seq === frame.seq, `log ${id}: frame ${frame.seq} was never appended`);
    assert.equal(frame.batch?.crc, known.crc);
  }
  for (let chain = ledger.durableChain; ; ) {
    const known = ledger.byChain.get(chain);
    if (known === undefined) break;
    const { seq, baseOffset, crc } = known;
    if (seq > found.baseSeq) {
      assert.equal(found.frames.get(seq)?.chain, chain, `log ${id}: frame ${seq} is lost`);
    } else if (seq === found.baseSeq) assert.equal(found.baseChain, chain);
    const isWanted =
      baseOffset >= ledger.startOffset &&
      seq <= ledger.committedSeq &&
      !ledger.spare.has(baseOffset);
    if (ledger.gone.has(baseOffset) && baseOffset >= ledger.startOffset) {
      assert(!found.settled.has(baseOffset), `log ${id}: batch ${baseOffset} is back`);
    }
    if (crc !== undefined && isWanted && baseOffset < found.settledOffset) {
      assert.equal(
        found.settled.get(baseOffset)?.crc,
        crc,
        `log ${id}: batch ${baseOffset} is lost`,
      );
    } else if (crc !== undefined && isWanted) {
      assert.equal(found.frames.get(seq)?.chain, chain, `log ${id}: batch ${baseOffset} is lost`);
    }
    chain = known.before;
  }
}

/** Of the last frame, which is still in memory. */
function crcOfBatch(log: StoredLog): number | undefined {
  let crc: number | undefined;
  log.frames(log.endSeq, 1, (_header, _events, batch) => {
    crc = batch === undefined ? undefined : readU32(batch, 17);
    return false;
  });
  return crc;
}

function stateAt(log: StoredLog, seq: number): Uint8Array {
  // Some are too large for a WAL frame.
  const size = seq % 5 === 0 ? 20_000 : 100;
  return eventsOf(`${log.chainAt(seq)} `.repeat(Math.ceil(size / 10)).slice(0, size));
}

/** Of the committed batches from the start on, without those that a rewriting may have left out. */
function sumTo(
  log: StoredLog,
  of: Pick<Ledger, 'startOffset' | 'committedOffset' | 'spare' | 'gone'>,
): number {
  const { startOffset, committedOffset, spare, gone } = of;
  let sum = 0;
  for (let at = startOffset; at < committedOffset; ) {
    const read = log.read(at, 4000, committedOffset);
    // Nothing is left at the end.
    if (read.kind === 'empty' && spare.size > 0) break;
    if (read.kind !== 'memory' && read.kind !== 'file') {
      throw new Error(`committed offset ${at} of ${committedOffset} is ${read.kind}`);
    }
    at = read.nextOffset;
    const bytes = bytesOf(read);
    const wanted = without(bytes, (base) => {
      assert(!gone.has(base), `batch ${base} of log ${log.logId} is back`);
      return spare.has(base);
    });
    sum = crc32c(wanted, 0, wanted.length, sum);
  }
  return sum;
}

/**
 * One run of `cuts` power cuts; answers how many starts it saw. `onCut` is called with each.
 *
 * @throws AssertionError for what was lost, invented or out of order.
 */
export async function powerRun(
  seed: number,
  cuts: number,
  onCut: () => void = () => undefined,
  isRewriting = true,
): Promise<number> {
  const run = new PowerRun(seed, isRewriting);
  await run.open();
  for (let i = 0; i < cuts; i += 1) {
    // Some lives are long enough for the WAL to come round.
    const isLong = run.random.below(10) === 0;
    const times = isLong ? 10 : i === 0 ? 4 : 1;
    const steps = (10 + run.random.below(110)) * times;
    run.armFailure();
    for (let step = 0; step < steps && run.opened.store.failure === undefined; step += 1) {
      run.act();
      for (let events = run.random.below(4); events > 0; events -= 1) run.world.step();
      if (step % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (i % 6 === 5) await run.tearTwice();
    else if (i % 3 === 1) await run.beginCheckpoint();
    run.cut();
    onCut();
    run.checkFiles();
    if (i === cuts - 1) run.rotWal();
    else run.rotSpares();
    await run.open();
    await run.check(i === cuts - 1);
    if (i % 4 === 0 && i < cuts - 1) {
      const first = run.fingerprint();
      run.opened.store.abandon();
      run.cut();
      await run.open();
      assert.deepEqual(run.fingerprint(), first);
    }
  }
  return run.boots;
}
