// The property that matters: cut the power, or kill the process, at any moment of a random run. What was
// durable is there, what is there was appended, chains and batches are whole, committed frames stay,
// and a second recovery finds what the first one found.
import { describe, expect, it } from 'vitest';
import { equalBytes } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import type { OpenedShardStore, StoredLog } from '../../src/storage/api.ts';
import { runs } from '../setup/runs.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import {
  allFrames,
  appendBatch,
  bytesOf,
  eventsOf,
  openOn,
  readAll,
  World,
} from './support/store-kit.ts';

const LOGS = 3;
const CUTS = 25;

/** What the test knows of one log: everything ever appended at a seq, and what must not be lost. */
interface Ledger {
  /** By seq: the frames that may be there now (a truncation that is not durable may be undone). */
  readonly byChain: Map<number, { readonly seq: number; readonly endOffset: number }>;
  durableSeq: number;
  durableChain: number;
  committedSeq: number;
  committedChain: number;
  committedOffset: number;
  committedSum: number;
  /** Nobody wants batches below. */
  startOffset: number;
}

function newLedger(): Ledger {
  return {
    byChain: new Map(),
    durableSeq: 0,
    durableChain: 0,
    committedSeq: 0,
    committedChain: 0,
    committedOffset: 0,
    committedSum: 0,
    startOffset: 0,
  };
}

class Run {
  readonly world = new World();
  readonly random: SeededRandom;
  readonly ledgers = new Map<number, Ledger>();
  readonly states = new Map<number, number>();
  disk: FaultDisk;
  opened!: OpenedShardStore;
  boots = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = this.world.newDisk();
    for (let id = 1; id <= LOGS; id += 1) this.ledgers.set(id, newLedger());
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
    const log = this.log(1 + this.random.below(LOGS));
    const ledger = this.ledgers.get(log.logId)!;
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
    const to = ledger.startOffset + Math.min(span, this.random.below(2 * span + 1));
    log.setStartOffset(to);
    ledger.startOffset = to;
    ledger.committedSum = sumTo(log, to, ledger.committedOffset);
  }

  #append(log: StoredLog, ledger: Ledger, dice: number): void {
    if (dice < 15) {
      const epoch = Math.max(1, log.lastEpoch) + (dice < 2 ? 1 : 0);
      const size = this.random.below(200);
      const events = eventsOf('v'.repeat(size));
      log.append(epoch, log.lastLogTimeMs + 1, events, undefined, dice < 8);
    } else {
      const size = this.random.below(10) === 0 ? 9000 : this.random.below(900);
      appendBatch(log, size, { awaited: dice < 50, fill: this.random.below(255) });
    }
    ledger.byChain.set(log.chain, { seq: log.endSeq, endOffset: log.endOffset });
  }

  #commit(log: StoredLog, ledger: Ledger): void {
    // Like a log with one replica: committed is what is durable here.
    const to = log.durableSeq - this.random.below(4);
    if (to <= log.committedSeq) return;
    log.setCommitted(to);
    ledger.committedSeq = to;
    ledger.committedChain = log.chainAt(to)!;
    ledger.committedOffset = log.offsetAt(to)!;
    ledger.committedSum = sumTo(log, ledger.startOffset, ledger.committedOffset);
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
    log.append(log.lastEpoch + 1, log.lastLogTimeMs + 1, eventsOf('epoch'), undefined, true);
    ledger.byChain.set(log.chain, { seq: log.endSeq, endOffset: log.endOffset });
  }

  cut(): void {
    this.world.clear();
    const later = (ms: number, fire: () => void): unknown =>
      this.world.at(this.world.nowMs + ms, fire);
    this.disk =
      this.random.below(4) === 0 ? this.disk.kill(later) : this.disk.powerCut(this.random, later);
  }

  async check(): Promise<void> {
    for (const { log, needsRepair } of this.opened.recovered) {
      const ledger = this.ledgers.get(log.logId)!;
      expect(
        needsRepair,
        JSON.stringify(this.world.lines.filter((line) => line.level === 'error').slice(-6)),
      ).toBe(false);
      expect(log.endSeq).toBeGreaterThanOrEqual(ledger.durableSeq);
      if (log.endSeq > 0) {
        const known = ledger.byChain.get(log.chain);
        expect(known).toEqual({ seq: log.endSeq, endOffset: log.endOffset });
      }
      if (log.firstSeq - 1 <= ledger.durableSeq) {
        expect(log.chainAt(ledger.durableSeq)).toBe(ledger.durableChain);
      }
      expect(log.committedSeq).toBeLessThanOrEqual(log.endSeq);
      // Whoever owns the log moves its start again when it reads the frame that said so, if that is there.
      if (this.random.below(2) === 0) log.setStartOffset(ledger.startOffset);
      const { startOffset, committedOffset } = ledger;
      expect(log.startOffset).toBeLessThanOrEqual(startOffset);
      expect(sumTo(log, startOffset, committedOffset)).toBe(ledger.committedSum);
      expect(readAll(log, startOffset).length).toBeGreaterThanOrEqual(0);
      await this.#checkState(log);
      this.#adopt(log, ledger);
    }
    for (const [id, ledger] of this.ledgers) {
      if (this.opened.store.log(id) === undefined) expect(ledger.durableSeq).toBe(0);
    }
  }

  async #checkState(log: StoredLog): Promise<void> {
    const state = log.state();
    expect(state === undefined ? 0 : state.seq).toBeLessThanOrEqual(log.committedSeq);
    const from = (state?.seq ?? 0) + 1;
    expect(log.firstSeq).toBeLessThanOrEqual(from);
    const frames = await allFrames(this.world, log, from);
    expect(frames.length).toBe(log.endSeq - from + 1);
    if (state !== undefined && log.chainAt(state.seq) !== undefined) {
      expect(equalBytes(state.bytes, stateAt(log, state.seq))).toBe(true);
    }
  }

  /** From here on the recovered log is what counts. */
  #adopt(log: StoredLog, ledger: Ledger): void {
    ledger.durableSeq = log.durableSeq;
    ledger.durableChain = log.chain;
    ledger.committedSeq = log.committedSeq;
    ledger.committedChain = log.chainAt(log.committedSeq)!;
    ledger.committedOffset = log.offsetAt(log.committedSeq)!;
    ledger.committedSum = sumTo(log, ledger.startOffset, ledger.committedOffset);
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

function stateAt(log: StoredLog, seq: number): Uint8Array {
  // Some are too large for a WAL frame.
  const size = seq % 5 === 0 ? 20_000 : 100;
  return eventsOf(`${log.chainAt(seq)} `.repeat(Math.ceil(size / 10)).slice(0, size));
}

function sumTo(log: StoredLog, from: number, offset: number): number {
  let sum = 0;
  for (let at = from; at < offset; ) {
    const read = log.read(at, 4000, offset);
    if (read.kind === 'memory')
      for (const slice of read.slices) sum = crc32c(slice, 0, slice.length, sum);
    else if (read.kind === 'file') {
      const bytes = new Uint8Array(read.length);
      read.file.readSync(bytes, read.position);
      sum = crc32c(bytes, 0, bytes.length, sum);
    } else throw new Error(`committed offset ${at} of ${offset} is ${read.kind}`);
    at = read.nextOffset;
    read.release();
  }
  return sum;
}

async function oneRun(seed: number, cuts: number): Promise<number> {
  const run = new Run(seed);
  await run.open();
  for (let i = 0; i < cuts; i += 1) {
    const steps = 10 + run.random.below(110);
    for (let step = 0; step < steps; step += 1) {
      run.act();
      for (let events = run.random.below(4); events > 0; events -= 1) run.world.step();
      if (step % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    run.cut();
    await run.open();
    await run.check();
    if (i % 4 === 0) {
      const first = run.fingerprint();
      run.opened.store.abandon();
      run.cut();
      await run.open();
      expect(run.fingerprint()).toEqual(first);
    }
  }
  return run.boots;
}

describe('power cuts', () => {
  const seeds = Number(process.env['STORAGE_SEEDS'] ?? runs(12, 3));
  const base = Number(process.env['STORAGE_SEED'] ?? 1);

  it(`loses nothing that was durable in ${seeds} runs of many cuts`, {
    timeout: 600_000,
  }, async () => {
    let boots = 0;
    for (let seed = base; seed < base + seeds; seed += 1) {
      try {
        boots += await oneRun(seed, CUTS);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).stack}`, { cause: error });
      }
    }
    expect(boots).toBeGreaterThan(seeds * CUTS);
  });
});
