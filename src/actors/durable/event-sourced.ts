// Event-sourced actors as people write them, and the durable behavior that a log's host runs for them: what
// is asked is decided into events, the events are logged and applied, and the answer leaves when they are
// durable. One frame per command. Pure: time is the log's, and everything that is kept goes through codecs.
//
// Command: u16 opcode, input.   Answer: u8 0, reply; or u8 1, code, message (both with their sizes).
// Events of a frame: one after another u16 number, value. Numbers go by order of declaration.
import type { Codec, Value } from '../../codec/codec.ts';
import { ByteReader, ByteWriter, decodeUtf8, encodeUtf8 } from '../../std/bytes.ts';
import { messageOf } from '../../std/errors.ts';
import { ActorError, errorCode } from '../errors.ts';
import type { Ask, Input, OpEntry, Ops, Protocol, Reply } from '../protocol.ts';
import type { Decision, DurableBehavior, DurableCommand, LogPosition } from './behavior.ts';

/** Durable actors are asked only: whoever changes something wants to know that it is kept. */
// biome-ignore lint/suspicious/noExplicitAny: asks of any types, as in Ops; `unknown` would refuse them all.
export type Asks = { readonly [op: string]: Ask<any, any> };
export type Events = { readonly [name: string]: Codec<unknown> };

/** One event with its value. */
export type EventOf<E extends Events> = {
  [K in keyof E & string]: { readonly type: K; readonly value: Value<E[K]> };
}[keyof E & string];

export interface Outcome<E extends Events, R> {
  /** What is logged. None: nothing changes, and the answer waits only for what was decided before. */
  readonly events?: readonly EventOf<E>[];
  readonly reply: R;
}

/** What a decision may know besides the state. */
export interface DecisionContext {
  /** Milliseconds; never goes back within the life of the actor, through restarts too. */
  readonly logTimeMs: number;
}

export interface DurableParts<O extends Ops, S, E extends Events> {
  /** Never change or remove one, add at the end: their numbers are on the disk. */
  readonly events: E;
  /** For snapshots: equal states must give equal bytes. */
  readonly state: Codec<S>;
  readonly initial: () => S;
  /** A throw refuses the command: the asker gets its code and message, nothing changes. */
  readonly decide: {
    readonly [K in keyof O]: (
      state: S,
      input: Input<O[K]>,
      context: DecisionContext,
    ) => Outcome<E, Reply<O[K]>>;
  };
  /** The state after an event. Must not throw: an actor whose events cannot be applied answers no more. */
  readonly apply: { readonly [K in keyof E]: (state: S, value: Value<E[K]>) => S };
}

/** A kind of durable actors. */
export interface DurableActor<O extends Ops> {
  readonly protocol: Protocol<O>;
  /** Kind of the log. */
  readonly kind: string;
  readonly behavior: DurableBehavior<{ value: unknown }, undefined>;
}

/** Largest command, and largest events of one: they are one frame of the log. */
const DURABLE_BYTES_MAX = 16 * 1024 * 1024;
const ANSWERED = 0;
const REFUSED = 1;

/**
 * @example
 * const Account = durable(protocol('account', 1, { deposit: ask(u32, u53) }), {
 *   events: { deposited: u32 },
 *   state: u53,
 *   initial: () => 0,
 *   decide: { deposit: (balance, amount) => ({
 *     events: [{ type: 'deposited', value: amount }],
 *     reply: balance + amount,
 *   }) },
 *   apply: { deposited: (balance, amount) => balance + amount },
 * });
 */
export function durable<O extends Asks & Ops, S, E extends Events>(
  protocol: Protocol<O>,
  parts: DurableParts<O, S, E>,
): DurableActor<O> {
  for (const op of protocol.table) {
    if (op.isAsk) continue;
    throw new ActorError('ACTOR_MISUSE', `${protocol.name}: ${op.name} is no ask`, { op: op.name });
  }
  const kind = `app.${protocol.name}`;
  const source = new EventSource(protocol.table, parts as unknown as AnyParts);
  const nothing: Decision = {};
  const behavior: DurableBehavior<{ value: unknown }, undefined> = {
    kind,
    initial: () => ({ value: parts.initial() }),
    promote: () => undefined,
    demote: () => [],
    decide: (state, _local, command, position) => source.decide(state.value, command, position),
    // Batches of records are for logs that producers write to.
    admit: () => 'unsupported',
    apply(state, frame) {
      if (frame.events.length > 0) state.value = source.apply(state.value, frame.events);
    },
    nextDueMs: () => undefined,
    tick: () => nothing,
    snapshot: (state) => encodeWhole(parts.state as Codec<unknown>, state.value),
    restore: (bytes) => ({ value: parts.state.decode(bytes, 0, bytes.length) }),
  };
  return { protocol, kind, behavior };
}

interface AnyParts {
  readonly events: Events;
  readonly decide: Readonly<
    Record<string, (state: unknown, input: unknown, context: DecisionContext) => AnyOutcome>
  >;
  readonly apply: Readonly<Record<string, (state: unknown, value: unknown) => unknown>>;
}
interface AnyOutcome {
  readonly events?: readonly { readonly type: string; readonly value: unknown }[];
  readonly reply: unknown;
}

class EventSource {
  readonly #ops: readonly OpEntry[];
  readonly #parts: AnyParts;
  readonly #names: readonly string[];

  constructor(ops: readonly OpEntry[], parts: AnyParts) {
    this.#ops = ops;
    this.#parts = parts;
    this.#names = Object.keys(parts.events);
  }

  decide(state: unknown, { token, body }: DurableCommand, { logTimeMs }: LogPosition): Decision {
    try {
      const read = new ByteReader(body);
      const op = this.#ops[read.u16()];
      if (op === undefined) throw new ActorError('ACTOR_MALFORMED', 'no such operation');
      // Copied: what a decision keeps of its input must not change under it.
      const own = body.slice(read.at);
      const input = op.input.decode(own, 0, own.length);
      const outcome = this.#parts.decide[op.name]!(state, input, { logTimeMs });
      const events = this.#encode(outcome.events ?? []);
      checkSize('the events of a command', events.length);
      const answer = new ByteWriter(64);
      answer.u8(ANSWERED);
      answer.raw(encodeWhole(op.reply!, outcome.reply));
      const reply = { token, level: 'committed' as const, body: answer.toBytes() };
      return events.length === 0 ? { replies: [reply] } : { events, replies: [reply] };
    } catch (error) {
      return { replies: [{ token, level: 'committed', body: refusal(error) }] };
    }
  }

  #encode(events: readonly { readonly type: string; readonly value: unknown }[]): Uint8Array {
    const out = new ByteWriter(64);
    for (const { type, value } of events) {
      const codec = this.#parts.events[type];
      if (codec === undefined) throw new ActorError('ACTOR_MISUSE', `no event ${type}`);
      out.u16(this.#names.indexOf(type));
      out.sized(encodeWhole(codec, value));
    }
    return out.toBytes();
  }

  apply(state: unknown, bytes: Uint8Array): unknown {
    const read = new ByteReader(bytes);
    let after = state;
    while (read.at < bytes.length) {
      const number = read.u16();
      const name = this.#names[number];
      if (name === undefined) throw new ActorError('ACTOR_MALFORMED', `event ${number} is unknown`);
      const value = read.sized().slice();
      after = this.#parts.apply[name]!(
        after,
        this.#parts.events[name]!.decode(value, 0, value.length),
      );
    }
    return after;
  }
}

function checkSize(what: string, bytes: number): void {
  if (bytes <= DURABLE_BYTES_MAX) return;
  const text = `${what} may have ${DURABLE_BYTES_MAX} bytes, not ${bytes}`;
  throw new ActorError('DURABLE_TOO_LARGE', text, { bytes });
}

function encodeWhole(codec: Codec<unknown>, value: unknown): Uint8Array {
  const bytes = new Uint8Array(codec.size(value));
  codec.encode(value, bytes, 0);
  return bytes;
}

function refusal(error: unknown): Uint8Array {
  const out = new ByteWriter(64);
  out.u8(REFUSED);
  out.sized(encodeUtf8(errorCode(error)));
  out.sized(encodeUtf8(messageOf(error)));
  return out.toBytes();
}

/**
 * The command of an ask.
 *
 * @throws ActorError DURABLE_TOO_LARGE.
 */
export function encodeCommand(op: OpEntry, input: unknown): Uint8Array {
  const size = 2 + op.input.size(input);
  checkSize('a command', size);
  const body = new Uint8Array(size);
  body[0] = op.code >>> 8;
  body[1] = op.code & 0xff;
  op.input.encode(input, body, 2);
  return body;
}

/**
 * The reply in an answer.
 *
 * @throws ActorError with the code and message of a refusal.
 */
export function decodeAnswer(op: OpEntry, body: Uint8Array): unknown {
  const read = new ByteReader(body);
  if (read.u8() === ANSWERED) return op.reply!.decode(body.slice(1), 0, body.length - 1);
  const code = decodeUtf8(read.sized());
  throw new ActorError(code, decodeUtf8(read.sized()));
}
