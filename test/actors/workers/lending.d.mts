import type { Protocol } from '../../../src/actors/index.ts';
import type { Ask, Tell } from '../../../src/actors/protocol.ts';

interface Sending {
  readonly size: number;
  readonly count: number;
  readonly isLent: number;
}

export type ReceiverOps = {
  readonly take: Tell<Uint8Array>;
  readonly lend: Tell<Uint8Array>;
  readonly lendAsk: Ask<Uint8Array, number>;
  readonly poke: Tell<undefined>;
};

export type LenderOps = {
  readonly send: Ask<Sending, number>;
  readonly question: Ask<number, number>;
  readonly sendAll: Ask<Sending, undefined>;
  readonly usedBytes: Ask<undefined, number>;
  readonly large: Ask<number, Uint8Array>;
  readonly hoard: Tell<Uint8Array>;
  readonly die: Tell<undefined>;
};

export declare const Receiver: Protocol<ReceiverOps>;
export declare const Lender: Protocol<LenderOps>;
