// Types of thread-ledger.mjs.

export const KIND: Readonly<
  Record<'sent' | 'took' | 'asked' | 'settled' | 'answered' | 'wrong', number>
>;
export const OUTCOME: Readonly<
  Record<'ok' | 'lost' | 'refused' | 'timeout' | 'other' | 'wrongReply', number>
>;

export function journalMemory(entries: number): SharedArrayBuffer;

export class Journal {
  constructor(memory: SharedArrayBuffer);
  add(kind: number, thread: number, extra: number, number: number): void;
}

export interface LedgerReport {
  readonly lives: number;
  readonly tells: number;
  readonly handled: number;
  readonly asks: number;
  readonly ok: number;
  readonly lost: number;
  readonly refused: number;
  readonly faults: number;
  readonly examples: string[];
}

export class Ledger {
  constructor(own: readonly number[]);
  close(thread: number, life: number, memory: SharedArrayBuffer, isDead: boolean): void;
  fault(text: string): void;
  report(): LedgerReport;
}
