// The snapshot that a leader promises while its tip is ahead of what is committed: taken of the tip, and stored when
// that commits. One at a time.
import type { LogContext } from './role.ts';

export class TipSnapshot {
  readonly #context: Pick<LogContext, 'machine' | 'stored'>;
  #pending: { readonly seq: number; readonly bytes: Uint8Array } | undefined;

  constructor(context: Pick<LogContext, 'machine' | 'stored'>) {
    this.#context = context;
  }

  /** A snapshot at a committed seq, or a promise to store one when the present tip commits. */
  wanted(committedSeq: number): { seq: number; bytes: Uint8Array } | undefined {
    const { machine } = this.#context;
    if (machine.appliedSeq === 0) return undefined;
    if (machine.appliedSeq <= committedSeq) {
      return { seq: machine.appliedSeq, bytes: machine.snapshot() };
    }
    this.#pending ??= { seq: machine.appliedSeq, bytes: machine.snapshot() };
    return undefined;
  }

  committed(seq: number): void {
    const pending = this.#pending;
    if (pending === undefined || seq < pending.seq) return;
    this.#pending = undefined;
    const { stored } = this.#context;
    if (pending.seq > stored.snapshotSeq) stored.putState(pending.seq, pending.bytes);
  }
}
