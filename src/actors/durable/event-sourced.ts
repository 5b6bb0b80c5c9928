// Event-sourced actors as people write them: what is asked is decided into events, the events are logged and
// applied, and the answer leaves when they are durable. What runs them is in event-source.ts.
import type { Codec, Value } from '../../codec/codec.ts';
import { ByteReader, decodeUtf8 } from '../../std/bytes.ts';
import { fnv1a32 } from '../../std/hash.ts';
import { ActorError } from '../errors.ts';
import type { Ask, Input, OpEntry, Ops, Protocol, Reply } from '../protocol.ts';
import type { AnyDurableBehavior } from './behavior.ts';
import {
  type ActorFaults,
  ANSWERED,
  checkSize,
  eventSource,
  FORGOTTEN,
  RESERVED,
} from './event-source.ts';
import type { AnyParts } from './parts.ts';

/** Durable actors are asked only: whoever changes something wants to know that it is kept. */
// biome-ignore lint/suspicious/noExplicitAny: asks of any types, as in Ops; `unknown` would refuse them all.
export type Asks = { readonly [op: string]: Ask<any, any> };
export type Events = { readonly [name: string]: Codec<unknown> };

/** One event with its value. */
export type EventOf<E extends Events> = {
  [K in keyof E & string]: { readonly type: K; readonly value: Value<E[K]> };
}[keyof E & string];

type InputOf<I> = [I] extends [undefined] ? { readonly input?: undefined } : { readonly input: I };

/** A timer that is set, in the place of one with its key, or cancelled. */
export type TimerOf<O extends Ops> =
  | {
      readonly [K in keyof O & string]: {
        readonly key: string;
        /** From the command on, in the time of the log. */
        readonly afterMs: number;
        /** What is decided when it is due; nobody hears the answer. */
        readonly op: K;
      } & InputOf<Input<O[K]>>;
    }[keyof O & string]
  | { readonly key: string; readonly cancel: true };

export interface Outcome<E extends Events, R, O extends Ops> {
  /** What is logged. None: nothing changes, and the answer waits only for what was decided before. */
  readonly events?: readonly EventOf<E>[];
  /** Kept like events: a timer fires once, whatever ends or leads meanwhile, and never early. At most 10,000. */
  readonly timers?: readonly TimerOf<O>[];
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
    ) => Outcome<E, Reply<O[K]>, O>;
  };
  /** The state after an event. Must not throw: an actor whose events cannot be applied answers no more. */
  readonly apply: { readonly [K in keyof E]: (state: S, value: Value<E[K]>) => S };
}

/** A kind of durable actors. */
export interface DurableActor<O extends Ops> {
  readonly protocol: Protocol<O>;
  /** Kind of the log. */
  readonly kind: string;
  /** Of operations, events and state: two that differ in it cannot share a log. */
  readonly hash: number;
  readonly behavior: AnyDurableBehavior;
  /** With rules taken away, for a simulation. */
  withFaults(faults: ActorFaults): AnyDurableBehavior;
}

// biome-ignore lint/suspicious/noExplicitAny: kinds of any operations, looked up by their name only.
export type AnyDurableActor = DurableActor<any>;

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
  const events = Object.entries(parts.events);
  if (events.length >= RESERVED) {
    throw new ActorError('ACTOR_MISUSE', `${protocol.name}: more than ${RESERVED - 1} events`);
  }
  let hash = fnv1a32(`${protocol.hash} ${parts.state.shape}`);
  for (const [name, codec] of events) hash = fnv1a32(`;${name}:${codec.shape}`, hash);
  const anyParts = parts as unknown as AnyParts;
  const withFaults = (faults: ActorFaults): AnyDurableBehavior =>
    eventSource(kind, protocol.table, anyParts, faults);
  return { protocol, kind, hash, behavior: withFaults({}), withFaults };
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
  if (body[0] === FORGOTTEN) {
    const text = 'it was decided and kept; its answer is lost and was too large to be remembered';
    throw new ActorError('DURABLE_ANSWER_LOST', text);
  }
  const code = decodeUtf8(read.sized());
  throw new ActorError(code, decodeUtf8(read.sized()));
}
