// The fingerprint of a run: a rolling 64-bit hash (two 32-bit halves) over event number, virtual time,
// kind, node and draw count, with a checkpoint every so many events, and a ring of the last events for
// people. Equal seeds must give equal hashes, in this process and in any other.
import { mix32 } from '../std/hash.ts';

const CHECKPOINT_EVENTS = 1_000;
const STRIP_EVENTS = 64;
const TWO_32 = 0x1_0000_0000;

/** Kinds of events. The letters are those of the event strip. */
const EVENT_KINDS = {
  timer: 't',
  soon: 's',
  'net-segment': 'n',
  'net-pump': 'p',
  'net-event': 'N',
  disk: 'd',
  fault: 'F',
  harness: 'h',
} as const;

export type EventKind = keyof typeof EVENT_KINDS;

const KIND_CODES = new Map(Object.keys(EVENT_KINDS).map((kind, code) => [kind, code + 1]));

export class Trace {
  #high = 0x9e3779b9;
  #low = 0x7f4a7c15;
  #events = 0;
  readonly #checkpoints: string[] = [];
  readonly #strip: string[] = [];

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  record(timeNs: number, kind: EventKind, node: number, draws: number): void {
    this.#events += 1;
    const code = KIND_CODES.get(kind) ?? 0;
    const word = mix32(
      (timeNs | 0) ^ Math.imul(Math.floor(timeNs / TWO_32) + code * 31 + node * 1009, 0x85ebca6b),
    );
    this.#low = mix32(this.#low ^ word ^ draws);
    this.#high = mix32(Math.imul(this.#high, 0x01000193) ^ this.#low ^ this.#events);
    const slot = (this.#events - 1) % STRIP_EVENTS;
    this.#strip[slot] = `${EVENT_KINDS[kind]}${node}`;
    if (this.#events % CHECKPOINT_EVENTS === 0) this.#checkpoints.push(this.hash());
  }

  /** Sixteen hex digits. */
  hash(): string {
    return hex32(this.#high) + hex32(this.#low);
  }

  /** The hash after each 1,000 events: the first that differs says where two runs parted. */
  checkpoints(): readonly string[] {
    return this.#checkpoints;
  }

  /** The last events, oldest first: a letter for the kind and the number of the node (0: the world). */
  strip(): string {
    const at = this.#events % STRIP_EVENTS;
    const wrapped = this.#events >= STRIP_EVENTS;
    const ordered = wrapped ? [...this.#strip.slice(at), ...this.#strip.slice(0, at)] : this.#strip;
    return ordered.join(' ');
  }
}

/** What the letters of the strip mean, in one line. */
export function stripLegend(): string {
  return Object.entries(EVENT_KINDS)
    .map(([kind, letter]) => `${letter} ${kind}`)
    .join(', ');
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
