// The durable behavior that a log's host runs for event-sourced actors: commands, and timers that have become
// commands, are decided into events, and the answer leaves when they are durable. One frame per command. Pure:
// time is the log's.
//
// Command: u16 opcode, input; or numbered, see numbered.ts.
// Answer: u8 0, reply; 1, code, message (both with their sizes); or 2 to 4 alone, see the constants.
// Events of a frame: one after another u16 number, sized value. Numbers of the application's go by order of
// declaration; those from RESERVED on are the runtime's own:
//   0xfff0  a timer became a command      key, number
//   0xfff1  a timer is set                key, afterMs, u16 opcode, sized input
//   0xfff2  a timer is cancelled          key
//   0xfff3  a client was answered         client, and its answers by number
//   0xfff4  time passed                   nothing: the frame says it, and that whoever appended it leads
import { ByteReader, ByteWriter, encodeUtf8 } from '../../std/bytes.ts';
import { messageOf } from '../../std/errors.ts';
import { ActorError, errorCode } from '../errors.ts';
import type { OpEntry } from '../protocol.ts';
import { ActorState, encodeWhole } from './actor-state.ts';
import type {
  Decision,
  DurableBehavior,
  DurableCommand,
  FrameView,
  LogPosition,
} from './behavior.ts';
import {
  type Answers,
  type CommandNumber,
  NUMBERED,
  putAnswers,
  RememberedClients,
  readAnswers,
  readNumber,
} from './numbered.ts';
import type { AnyOutcome, AnyParts, AnyTimer } from './parts.ts';

/** Largest command, and largest events of one: they are one frame of the log. */
const DURABLE_BYTES_MAX = 16 * 1024 * 1024;
/** Larger answers are not remembered: who asks again hears that it was decided, and no more. */
const REMEMBERED_BYTES_MAX = 4_096;
const TIMERS_MAX = 10_000;
const TIMER_BYTES_MAX = 65_536;
const KEY_BYTES_MAX = 256;
/** Three hundred years. */
const AFTER_MS_MAX = 1e13;

export const RESERVED = 0xfff0;
const FIRED = 0xfff0;
const TIMER_SET = 0xfff1;
const TIMER_CANCELLED = 0xfff2;
const CLIENT_ANSWERED = 0xfff3;
const TIME_PASSED = 0xfff4;

export const ANSWERED = 0;
const REFUSED = 1;
/** An earlier command of the client has not been seen here: it must come first. Nothing was decided. */
export const NOT_NOW = 2;
/** The client has its answer already, or another life of it is at work. Nothing was decided. */
export const STALE = 3;
/** It was decided once; the answer was too large to be remembered. */
export const FORGOTTEN = 4;

/** Rules taken away by a simulation. */
export interface ActorFaults {
  /** Commands that come again are decided again. */
  readonly forgetAnswers?: true;
  /** The clock of whoever leads is believed. */
  readonly trustClocks?: true;
  /** Answers that rest on no change leave at once. */
  readonly answerAtOnce?: true;
  /** What a timer does, it does twice. */
  readonly fireTwice?: true;
}

/** What the leader knows beside the state: answers of commands that changed nothing. */
type ActorLocal = RememberedClients;

export function eventSource(
  kind: string,
  ops: readonly OpEntry[],
  parts: AnyParts,
  faults: ActorFaults = {},
): DurableBehavior<ActorState, ActorLocal> {
  const source = new EventSource(ops, parts, faults);
  return {
    kind,
    needsInsync: true,
    storesEvents: true,
    initial: () => new ActorState(parts.initial()),
    promote: () => new RememberedClients(),
    demote: () => [],
    decide: (state, local, command, position) => source.decide(state, local, command, position),
    // Batches of records are for logs that producers write to.
    admit: () => 'unsupported',
    apply: (state, frame) => source.apply(state, frame),
    skewed(state, skewMs) {
      if (faults.trustClocks !== true) state.skewMs += skewMs;
    },
    nextDueMs: (state) => state.nextDueMs(),
    tick: (state, _local, position) => source.tick(state, position),
    snapshot: (state) => state.toBytes(parts.state),
    restore: (bytes) => ActorState.fromBytes(parts.state, bytes),
  };
}

class EventSource {
  readonly #ops: readonly OpEntry[];
  readonly #byName: ReadonlyMap<string, OpEntry>;
  readonly #parts: AnyParts;
  readonly #names: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #faults: ActorFaults;

  constructor(ops: readonly OpEntry[], parts: AnyParts, faults: ActorFaults) {
    this.#ops = ops;
    this.#byName = new Map(ops.map((op) => [op.name, op]));
    this.#parts = parts;
    this.#faults = faults;
    this.#names = Object.keys(parts.events);
    this.#numbers = new Map(this.#names.map((name, number) => [name, number]));
  }

  // ---- Deciding -----------------------------------------------------------------------------------

  decide(
    state: ActorState,
    local: ActorLocal,
    { token, body }: DurableCommand,
    position: LogPosition,
  ): Decision {
    const reply = (answer: Uint8Array): Decision => ({
      replies: [{ token, level: 'committed', body: answer }],
    });
    const read = new ByteReader(body);
    let from: CommandNumber | undefined;
    let code: number;
    try {
      code = read.u16();
      if (code === NUMBERED) {
        from = readNumber(read);
        code = read.u16();
      }
    } catch (error) {
      return reply(refusal(error));
    }
    const known = from === undefined ? undefined : this.#knownAnswer(state, local, from);
    if (known !== undefined)
      return { ...reply(known.answer), ...(known.isHere ? this.#proof() : {}) };
    // Copied: what a decision keeps of its input must not change under it.
    const { events, answer } = this.#decideOne(state, code, body.slice(read.at), position);
    if (from === undefined)
      return events === undefined ? reply(answer) : { events, ...reply(answer) };
    if (events !== undefined) {
      const answers = answersTo(state, local, from, answer);
      return { events: withAnswers(events, from, answers), ...reply(answer) };
    }
    local.remember(from, answer.length > REMEMBERED_BYTES_MAX ? [] : [[from.number, answer]]);
    return { ...reply(answer), ...this.#proof() };
  }

  /**
   * Who answers without a change must still lead: another leader may have changed the state since. A frame behind the
   * decision proves it, when it is committed.
   */
  #proof(): Decision {
    return this.#faults.answerAtOnce === true ? {} : { events: TIME_HAS_PASSED };
  }

  /** What the client was answered, or why it is not answered; undefined: it is to be decided. */
  #knownAnswer(
    state: ActorState,
    local: ActorLocal,
    from: CommandNumber,
  ): { readonly answer: Uint8Array; readonly isHere?: boolean } | undefined {
    const { clientId, life, number, previous } = from;
    if (life < Math.max(state.clients.lifeOf(clientId), local.lifeOf(clientId)))
      return STALE_ANSWER;
    const logged = state.clients.ofLife(from);
    const heard = local.ofLife(from);
    const settledBelow = Math.max(logged?.settledBelow ?? 0, heard?.settledBelow ?? 0);
    if (number < settledBelow) return STALE_ANSWER;
    if (this.#faults.forgetAnswers === true) return undefined;
    const decided = logged?.answers.get(number);
    if (decided !== undefined) return { answer: decided };
    const answer = heard?.answers.get(number);
    if (answer !== undefined) return { answer, isHere: true };
    const isNext = previous <= Math.max(logged?.last ?? 0, heard?.last ?? 0);
    return isNext ? undefined : NOT_NOW_ANSWER;
  }

  /** No events: nothing changes. */
  #decideOne(
    state: ActorState,
    code: number,
    input: Uint8Array,
    { logTimeMs }: LogPosition,
  ): { readonly events: Uint8Array | undefined; readonly answer: Uint8Array } {
    try {
      const op = this.#ops[code];
      if (op === undefined) throw new ActorError('ACTOR_MALFORMED', 'no such operation');
      const value = op.input.decode(input, 0, input.length);
      const outcome = this.#parts.decide[op.name]!(state.value, value, { logTimeMs });
      const out = new ByteWriter(64);
      this.#putEvents(out, outcome);
      this.#putTimers(out, state, outcome.timers ?? []);
      const events = out.toBytes();
      checkSize('the events of a command', events.length);
      const reply = encodeWhole(op.reply!, outcome.reply);
      const answer = new Uint8Array(reply.length + 1);
      answer[0] = ANSWERED;
      answer.set(reply, 1);
      return { events: events.length === 0 ? undefined : events, answer };
    } catch (error) {
      return { events: undefined, answer: refusal(error) };
    }
  }

  #putEvents(out: ByteWriter, { events = [] }: AnyOutcome): void {
    for (const { type, value } of events) {
      const number = this.#numbers.get(type);
      if (number === undefined) throw new ActorError('ACTOR_MISUSE', `no event ${type}`);
      out.u16(number);
      out.sized(encodeWhole(this.#parts.events[type]!, value));
    }
  }

  #putTimers(out: ByteWriter, state: ActorState, timers: readonly AnyTimer[]): void {
    const { size } = state.timers;
    const set = new Set<string>();
    for (const timer of timers) {
      checkKey(timer.key);
      if (timer.cancel === true) {
        set.delete(timer.key);
        putEvent(out, TIMER_CANCELLED, (to) => to.text(timer.key));
        continue;
      }
      const op = this.#byName.get(timer.op ?? '');
      if (op === undefined) throw new ActorError('ACTOR_MISUSE', `a timer for ${timer.op}`);
      const afterMs = Math.ceil(timer.afterMs ?? Number.NaN);
      if (!(afterMs >= 0 && afterMs <= AFTER_MS_MAX)) {
        const text = `afterMs of ${timer.key} is ${timer.afterMs}, not 0 to ${AFTER_MS_MAX}`;
        throw new ActorError('ACTOR_MISUSE', text);
      }
      if (!state.timers.has(timer.key)) set.add(timer.key);
      if (size + set.size > TIMERS_MAX) {
        throw new ActorError(
          'DURABLE_TOO_MANY_TIMERS',
          `an actor has ${TIMERS_MAX} timers at most`,
        );
      }
      const input = encodeWhole(op.input, timer.input);
      if (input.length > TIMER_BYTES_MAX) {
        const text = `the input of a timer has ${TIMER_BYTES_MAX} bytes at most, not ${input.length}`;
        throw new ActorError('DURABLE_TOO_LARGE', text);
      }
      putEvent(out, TIMER_SET, (to) => {
        to.text(timer.key);
        to.varU53(afterMs);
        to.u16(op.code);
        to.sized(input);
      });
    }
  }

  /** One timer that is due becomes a command; whoever refuses it there has refused it for good. */
  tick(state: ActorState, position: LogPosition): Decision {
    const nowMs = position.logTimeMs - state.skewMs;
    const timer = state.timers.first();
    if (timer === undefined) return {};
    if (timer.dueMs > nowMs) return { events: TIME_HAS_PASSED, isAwaited: false };
    const { events } = this.#decideOne(state, timer.op, timer.input, position);
    const out = new ByteWriter(64);
    const { key, number } = timer;
    putEvent(out, FIRED, (to) => {
      to.text(key);
      to.varU53(number);
    });
    if (events !== undefined) out.raw(events);
    if (events !== undefined && this.#faults.fireTwice === true) out.raw(events);
    return { events: out.toBytes(), isMoreDue: true };
  }

  // ---- Applying -----------------------------------------------------------------------------------

  apply(state: ActorState, { events, logTimeMs }: FrameView): void {
    state.lastMs = logTimeMs - state.skewMs;
    const read = new ByteReader(events);
    while (read.at < events.length) {
      const number = read.u16();
      const bytes = read.sized();
      if (number >= RESERVED) applyOwn(state, number, new ByteReader(bytes));
      else state.value = this.#applyValue(state.value, number, bytes.slice());
    }
  }

  #applyValue(value: unknown, number: number, bytes: Uint8Array): unknown {
    const name = this.#names[number];
    if (name === undefined) throw new ActorError('ACTOR_MALFORMED', `event ${number} is unknown`);
    const event = this.#parts.events[name]!.decode(bytes, 0, bytes.length);
    return this.#parts.apply[name]!(value, event);
  }
}

function applyOwn(state: ActorState, number: number, read: ByteReader): void {
  const { timers, clients } = state;
  switch (number) {
    case FIRED:
      timers.fired(read.text(), read.varU53());
      return;
    case TIMER_SET: {
      const key = read.text();
      // Log time is rounded down.
      const dueMs = state.lastMs + read.varU53() + 1;
      const op = read.u16();
      timers.set({ key, dueMs, op, input: read.sized().slice() });
      return;
    }
    case TIMER_CANCELLED:
      timers.cancel(read.text());
      return;
    case CLIENT_ANSWERED: {
      const clientId = read.varU53();
      const { answers, ...rest } = readAnswers(read);
      clients.remember({ clientId, ...rest }, answers);
      return;
    }
    case TIME_PASSED:
      return;
    default:
      throw new ActorError('ACTOR_MALFORMED', `event ${number} is of a newer version`);
  }
}

/**
 * The answer, and before it those of the client that only this leader knows: whoever leads next must not decide
 * an earlier command behind a later one.
 */
function answersTo(
  state: ActorState,
  local: ActorLocal,
  from: CommandNumber,
  answer: Uint8Array,
): Answers {
  const logged = state.clients.ofLife(from)?.answers;
  const heard = [...(local.ofLife(from)?.answers ?? [])].filter(
    ([number]) => number >= from.settledBelow && logged?.has(number) !== true,
  );
  const own = answer.length > REMEMBERED_BYTES_MAX ? mark(FORGOTTEN) : answer;
  return [...heard, [from.number, own]];
}

function withAnswers(events: Uint8Array, from: CommandNumber, answers: Answers): Uint8Array {
  const out = new ByteWriter(events.length + 64);
  out.raw(events);
  putEvent(out, CLIENT_ANSWERED, (to) => {
    to.varU53(from.clientId);
    putAnswers(to, from, answers);
  });
  return out.toBytes();
}

function putEvent(out: ByteWriter, number: number, put: (to: ByteWriter) => void): void {
  const value = new ByteWriter(32);
  put(value);
  out.u16(number);
  out.sized(value.toBytes());
}

const STALE_ANSWER = { answer: mark(STALE) };
const NOT_NOW_ANSWER = { answer: mark(NOT_NOW) };
const TIME_HAS_PASSED = Uint8Array.of(TIME_PASSED >>> 8, TIME_PASSED & 0xff, 0);

function mark(what: number): Uint8Array {
  return Uint8Array.of(what);
}

function checkKey(key: string): void {
  const bytes = typeof key === 'string' ? encodeUtf8(key).length : 0;
  if (bytes >= 1 && bytes <= KEY_BYTES_MAX) return;
  throw new ActorError('ACTOR_MISUSE', `the key of a timer has 1 to ${KEY_BYTES_MAX} bytes`);
}

/** @throws ActorError DURABLE_TOO_LARGE. */
export function checkSize(what: string, bytes: number): void {
  if (bytes <= DURABLE_BYTES_MAX) return;
  const text = `${what} may have ${DURABLE_BYTES_MAX} bytes, not ${bytes}`;
  throw new ActorError('DURABLE_TOO_LARGE', text, { bytes });
}

function refusal(error: unknown): Uint8Array {
  const out = new ByteWriter(64);
  out.u8(REFUSED);
  out.sized(encodeUtf8(errorCode(error)));
  out.sized(encodeUtf8(messageOf(error)));
  return out.toBytes();
}
