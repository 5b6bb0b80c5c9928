// Everything that is replicated of one event-sourced actor: the application's value, its timers, and what was
// answered to clients that number their commands. The actor's own time is log time without the steps that its
// clock took between two leaders.
//
// Snapshot: 8 bytes of mark | skewMs, lastMs | timers | clients | the value, to the end. A snapshot without the
// mark is an older one: the value alone.
import type { Codec } from '../../codec/codec.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { ActorTimers } from './actor-timers.ts';
import { RememberedClients } from './numbered.ts';

/** Bytes that no text begins with; the last is the version. */
const MARK = [0x89, 0x43, 0x42, 0x44, 0x41, 0x0d, 0x0a, 0x01];

/** What was written last is so old at most, in proportion to what is left until a timer is due. */
const KEPT_SHARE = 16;
const KEPT_MS = 60_000;

export class ActorState {
  value: unknown;
  timers = new ActorTimers();
  clients = new RememberedClients();
  /** Log time minus the actor's own. */
  skewMs = 0;
  /** Of the last frame, in the actor's own time. */
  lastMs = 0;

  constructor(value: unknown) {
    this.value = value;
  }

  /** Log time at which the leader has something to do. */
  nextDueMs(): number | undefined {
    const first = this.timers.first();
    if (first === undefined) return undefined;
    // The time that passes without a frame is lost when nobody who has seen it pass is left.
    const keptMs = Math.max(KEPT_MS, Math.floor((first.dueMs - this.lastMs) / KEPT_SHARE));
    return Math.min(first.dueMs, this.lastMs + keptMs) + this.skewMs;
  }

  toBytes(codec: Codec<unknown>): Uint8Array {
    const out = new ByteWriter(256);
    for (const byte of MARK) out.u8(byte);
    out.varI53(this.skewMs);
    out.varI53(this.lastMs);
    this.timers.put(out);
    this.clients.put(out);
    out.raw(encodeWhole(codec, this.value));
    return out.toBytes();
  }

  static fromBytes(codec: Codec<unknown>, bytes: Uint8Array): ActorState {
    if (MARK.some((byte, at) => bytes[at] !== byte)) {
      return new ActorState(codec.decode(bytes, 0, bytes.length));
    }
    const read = new ByteReader(bytes, MARK.length);
    const skewMs = read.varI53();
    const lastMs = read.varI53();
    const timers = ActorTimers.get(read);
    const clients = RememberedClients.get(read);
    const state = new ActorState(codec.decode(bytes, read.at, bytes.length));
    return Object.assign(state, { skewMs, lastMs, timers, clients });
  }
}

export function encodeWhole(codec: Codec<unknown>, value: unknown): Uint8Array {
  const bytes = new Uint8Array(codec.size(value));
  codec.encode(value, bytes, 0);
  return bytes;
}
