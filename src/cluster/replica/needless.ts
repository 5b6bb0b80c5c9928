// Whether records that nobody needs hold back the disk of a log whose owner says which these are (`needed` of its
// behavior): a message that waits keeps the start of its log, and with it every segment behind. Such segments are
// rewritten when the start has stood still for a while; a log that is consumed in order lets go of them anyway.
//
// What the tip says is looked at first, for it costs nothing. What goes is what a stored state says: it is committed,
// and whatever is lost with a power cut or a leader, this replica knows these records as done with.
import type { NeededOffsets } from '../../actors/durable/behavior.ts';
import type { SealedSegment } from '../../storage/api.ts';
import { type NeededResult, worthRewriting } from '../../storage/compaction/needed-pass.ts';
import type { HostedLog } from './hosted-log.ts';

export interface NeedlessCounters {
  passes: number;
  /** Ended early: the log changed, or something failed. */
  passesCut: number;
  /** Segments that were rewritten, to fewer. */
  segments: number;
  bytesIn: number;
  bytesOut: number;
  recordsGone: number;
  passMs: number;
}

/** What is known of a log beyond what its files say. */
interface Note {
  /** Where its first segment begins, and since when. */
  base: number;
  sinceMs: number;
  /** By their base: how many records segments had when they were looked into. */
  looked: Map<number, { readonly bytes: number; readonly records: number }>;
}

export type NeedlessLook =
  | { readonly kind: 'nothing' }
  /** There may be something to do in so many ms. */
  | { readonly kind: 'later'; readonly delayMs: number }
  /** There will be when a newer state is stored, and checkpoints count the segments. */
  | { readonly kind: 'unready'; readonly isCounted: boolean }
  | {
      readonly kind: 'pass';
      readonly group: readonly SealedSegment[];
      readonly needed: NeededOffsets;
    };

const NOTHING: NeedlessLook = { kind: 'nothing' };

export class Needless {
  readonly counters: NeedlessCounters = {
    passes: 0,
    passesCut: 0,
    segments: 0,
    bytesIn: 0,
    bytesOut: 0,
    recordsGone: 0,
    passMs: 0,
  };
  readonly #heldBackMs: number;
  readonly #notes = new WeakMap<HostedLog, Note>();

  constructor(heldBackMs: number) {
    this.#heldBackMs = heldBackMs;
  }

  /** Throws as `sealedSegments` and `state` of the store do. */
  look(hosted: HostedLog, nowMs: number): NeedlessLook {
    const { stored, machine } = hosted;
    const segments = stored.sealedSegments();
    const [first] = segments;
    const tip = machine.behavior.needed?.(machine.state);
    if (first === undefined || tip === undefined) return NOTHING;
    const note = this.#noteOf(hosted, first.baseOffset, segments, nowMs);
    const groupOf = (of: readonly SealedSegment[], needed: NeededOffsets) =>
      worthRewriting(of, needed, stored.segmentBytesMax, ({ baseOffset, bytes }) => {
        const looked = note.looked.get(baseOffset);
        return looked?.bytes === bytes ? looked.records : undefined;
      });
    if (groupOf(segments, tip) === undefined) return NOTHING;
    const delayMs = note.sinceMs + this.#heldBackMs - nowMs;
    if (delayMs > 0) return { kind: 'later', delayMs };
    const needed = machine.storedNeeds();
    const counted = segments.filter(({ isCounted }) => isCounted);
    const group = needed === undefined ? undefined : groupOf(counted, needed);
    if (needed !== undefined && group !== undefined) return { kind: 'pass', group, needed };
    return { kind: 'unready', isCounted: counted.length === segments.length };
  }

  #noteOf(
    hosted: HostedLog,
    base: number,
    segments: readonly SealedSegment[],
    nowMs: number,
  ): Note {
    let note = this.#notes.get(hosted);
    if (note === undefined) {
      note = { base: -1, sinceMs: nowMs, looked: new Map() };
      this.#notes.set(hosted, note);
    }
    if (note.base !== base) {
      note.base = base;
      note.sinceMs = nowMs;
    }
    const bases = new Set(segments.map(({ baseOffset }) => baseOffset));
    for (const known of note.looked.keys()) if (!bases.has(known)) note.looked.delete(known);
    return note;
  }

  /** A pass has ended. What it found is known until the process ends: the same segments are not looked into again for nothing. */
  ended(
    hosted: HostedLog,
    group: readonly SealedSegment[],
    result: NeededResult,
    passMs: number,
  ): void {
    const { counters } = this;
    const { outcome, bytesIn, bytesOut, recordsIn, recordsOut } = result;
    counters.passes += 1;
    counters.passMs += passMs;
    counters.bytesIn += bytesIn;
    counters.bytesOut += bytesOut;
    if (outcome === 'void') counters.passesCut += 1;
    if (outcome === 'done') {
      counters.segments += result.segments;
      counters.recordsGone += recordsIn - recordsOut;
    }
    const [first] = group;
    if (outcome === 'void' || first === undefined) return;
    const bytes = outcome === 'done' ? bytesOut : first.bytes;
    // Of one that stays as it is: until half of those are gone that are needed.
    const looked = { bytes, records: recordsOut };
    this.#notes.get(hosted)?.looked.set(first.baseOffset, looked);
  }
}
