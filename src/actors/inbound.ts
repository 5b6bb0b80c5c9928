// Records that arrived from another thread or node become messages, replies and signals here. Rings
// and links both end in this one place. Nothing in a record is trusted to be well-formed: what cannot
// be understood is counted and answered, never thrown.

import { readWhole } from '../codec/codec.ts';
import { ByteReader, EMPTY_BYTES } from '../std/bytes.ts';
import type { AskSlab } from './ask.ts';
import { ASKS_MAX } from './ask.ts';
import type { Cell } from './cell.ts';
import type { DeadLetters } from './dead-letters.ts';
import { ActorError } from './errors.ts';
import { type GivesBack, HeldInput, LentInput } from './held-input.ts';
import { NO_REPLY } from './mailbox.ts';
import type { OpEntry } from './protocol.ts';
import {
  KIND_ASK,
  KIND_CANCEL,
  KIND_FAILURE,
  KIND_REPLY,
  KIND_SIGNAL,
  KIND_TELL,
  SIGNAL_CHILD_FAILED,
  SIGNAL_ESCALATED,
  SIGNAL_SPAWN,
  SIGNAL_STOP,
  SIGNAL_TERMINATED,
  SIGNAL_UNWATCH,
  SIGNAL_WATCH,
} from './record.ts';
import type { AnyRef, Place, RefId } from './ref.ts';
import { idPath, SLOT_MAX } from './ref.ts';
import { EncodedInput, freezeDeep } from './strict.ts';
import type { SpawnRequest } from './wire-codecs.ts';
import { endedCodec, failureCodec, spawnRequestCodec } from './wire-codecs.ts';

export interface InboundHost {
  readonly isStrict: boolean;
  readonly place: Place;
  readonly asks: AskSlab;
  readonly deadLetters: DeadLetters;
  cellOf(id: RefId): Cell | undefined;
  isHere(id: RefId): boolean;
  failAnswer(to: object, error: Error): void;
  watchedFromAfar(target: RefId, watcher: RefId): void;
  refOfId(id: RefId): AnyRef;
  remoteEnded(id: RefId): void;
  spawnRequested(request: SpawnRequest): void;
}

export class Inbound {
  readonly #host: InboundHost;
  readonly #reader = new ByteReader(EMPTY_BYTES);

  constructor(host: InboundHost) {
    this.#host = host;
  }

  /**
   * Takes one record whose header is at `at`. The payload is bytes[payloadAt, payloadEnd): behind the
   * header, or elsewhere for an out-of-band payload. Decoded views point into `bytes`, which the caller
   * must not reuse. If nothing else lies in `bytes`, `pool` may be named: it gets them back after a
   * message that was only lent (see `lends`).
   */
  receive(
    view: DataView,
    at: number,
    bytes: Uint8Array,
    payloadAt: number,
    payloadEnd: number,
    pool?: GivesBack,
  ): void {
    const code = view.getUint16(at + 4, true);
    const kind = view.getUint8(at + 6);
    const slotWord = view.getUint32(at + 16, true);
    switch (kind) {
      case KIND_TELL:
      case KIND_ASK:
        this.#message(kind, code, view, at, bytes, payloadAt, payloadEnd, pool);
        return;
      case KIND_REPLY:
      case KIND_FAILURE: {
        const askId = view.getUint32(at + 20, true) * ASKS_MAX + (slotWord & SLOT_MAX);
        if (view.getUint32(at + 12, true) !== this.#host.place.incarnation) return;
        this.#reply(kind, askId, bytes, payloadAt, payloadEnd);
        return;
      }
      case KIND_CANCEL: {
        this.#host.cellOf(readId(view, at + 8))?.cancelAsk(readId(view, at + 24));
        return;
      }
      case KIND_SIGNAL:
        this.#signal(code, view, at, bytes, payloadAt, payloadEnd);
        return;
      default:
        this.#host.deadLetters.add(idPath(readId(view, at + 8)), `kind ${kind}`, 'malformed');
    }
  }

  /** True if the record is a message whose handler gives its memory back: none that is refused for its kind or op. */
  lends(view: DataView, at: number): boolean {
    const kind = view.getUint8(at + 6);
    if (kind !== KIND_TELL && kind !== KIND_ASK) return false;
    const target = readId(view, at + 8);
    const cell = this.#host.isHere(target) ? this.#host.cellOf(target) : undefined;
    const op = cell?.actor.protocol.table[view.getUint16(at + 4, true)];
    return op?.isLent === true && op.isAsk === (kind === KIND_ASK);
  }

  #message(
    kind: number,
    code: number,
    view: DataView,
    at: number,
    bytes: Uint8Array,
    payloadAt: number,
    payloadEnd: number,
    pool: GivesBack | undefined,
  ): void {
    const host = this.#host;
    const target = readId(view, at + 8);
    const reply = kind === KIND_ASK ? readId(view, at + 24) : NO_REPLY;
    const cell = host.isHere(target) ? host.cellOf(target) : undefined;
    if (cell === undefined) {
      this.#refuse(idPath(target), `op ${code}`, reply, 'gone');
      return;
    }
    const op = cell.actor.protocol.table[code];
    if (op === undefined || op.isAsk !== (kind === KIND_ASK)) {
      this.#refuse(cell.path, `op ${code}`, reply, 'unknown-op');
      return;
    }
    let input: unknown;
    try {
      input = this.#decode(op, bytes, payloadAt, payloadEnd, pool);
    } catch {
      if (op.isLent) pool?.give(bytes);
      this.#refuse(cell.path, op.name, reply, 'malformed');
      return;
    }
    const admission = cell.post(op, input, reply);
    if (admission === 'accepted') return;
    if (input instanceof HeldInput) input.release();
    this.#refuse(cell.path, op.name, reply, admission);
  }

  #decode(
    op: OpEntry,
    bytes: Uint8Array,
    at: number,
    end: number,
    pool: GivesBack | undefined,
  ): unknown {
    this.#reader.reset(bytes, at, end);
    const input = readWhole(op.input, this.#reader);
    const { isStrict } = this.#host;
    if (pool !== undefined && op.isLent) {
      return new LentInput(isStrict ? freezeDeep(input) : input, bytes, pool, isStrict);
    }
    // Strict mode keeps its own copy of the bytes, so that a view kept too long reads poison.
    return isStrict ? new EncodedInput(op.input, input) : input;
  }

  #refuse(
    path: string,
    op: string,
    reply: RefId | typeof NO_REPLY,
    reason: 'full' | 'gone' | 'malformed' | 'unknown-op',
  ): void {
    if (reply === NO_REPLY) {
      this.#host.deadLetters.add(path, op, reason);
      return;
    }
    const codes = {
      full: 'ACTOR_FULL',
      gone: 'ACTOR_GONE',
      malformed: 'ACTOR_MALFORMED',
      'unknown-op': 'ACTOR_MISUSE',
    } as const;
    this.#host.failAnswer(reply, new ActorError(codes[reason], `${path} ${op}: ${reason}`));
  }

  #reply(kind: number, askId: number, bytes: Uint8Array, at: number, end: number): void {
    const { asks, isStrict } = this.#host;
    const op = asks.opOf(askId);
    if (op === undefined) {
      asks.counters.late += 1;
      return;
    }
    try {
      if (kind === KIND_FAILURE) {
        asks.fail(askId, failureCodec.decode(bytes, at, end) as ActorError);
        return;
      }
      this.#reader.reset(bytes, at, end);
      const value = readWhole(op.reply!, this.#reader);
      asks.answer(askId, isStrict ? freezeDeep(value) : value);
    } catch {
      asks.fail(askId, new ActorError('ACTOR_MALFORMED', `the reply to ${op.name} is malformed`));
    }
  }

  #signal(
    code: number,
    view: DataView,
    at: number,
    bytes: Uint8Array,
    payloadAt: number,
    payloadEnd: number,
  ): void {
    const host = this.#host;
    const target = readId(view, at + 8);
    const from = readId(view, at + 24);
    const cell = host.isHere(target) ? host.cellOf(target) : undefined;
    try {
      if (code === SIGNAL_WATCH) host.watchedFromAfar(target, from);
      else if (code === SIGNAL_UNWATCH) cell?.watches?.removeWatcher(from);
      else if (code === SIGNAL_STOP) {
        if (cell !== undefined && isParentThere(cell, from)) cell.postSystem({ kind: 'stop' });
      } else if (code === SIGNAL_TERMINATED) {
        const { cause, id } = endedCodec.decode(bytes, payloadAt, payloadEnd);
        cell?.watches?.endWatch(host.refOfId(id), cause);
        cell?.childrenEndedElsewhere(id);
        host.remoteEnded(id);
      } else if (code === SIGNAL_CHILD_FAILED) {
        const error = failureCodec.decode(bytes, payloadAt, payloadEnd);
        const signal = { type: 'child-failed', child: host.refOfId(from), error } as const;
        cell?.postSystem({ kind: 'signal', signal });
      } else if (code === SIGNAL_ESCALATED) {
        const error = failureCodec.decode(bytes, payloadAt, payloadEnd);
        // Only a thread of this node has children of an actor here.
        if (from.node === host.place.node) cell?.postSystem({ kind: 'fail', error });
      } else if (code === SIGNAL_SPAWN && from.node === host.place.node) {
        host.spawnRequested(spawnRequestCodec.decode(bytes, payloadAt, payloadEnd));
      } else host.deadLetters.add(idPath(target), `signal ${code}`, 'malformed');
    } catch {
      host.deadLetters.add(idPath(target), `signal ${code}`, 'malformed');
    }
  }
}

/** Only the thread that spawned an actor may stop it from afar. */
function isParentThere(cell: Cell, from: RefId): boolean {
  const parent = cell.remoteParent?.id;
  return parent !== undefined && parent.node === from.node && parent.thread === from.thread;
}

function readId(view: DataView, at: number): RefId {
  const place = view.getUint32(at + 8, true);
  return {
    node: view.getUint32(at, true),
    incarnation: view.getUint32(at + 4, true),
    thread: place >>> 24,
    slot: place & SLOT_MAX,
    generation: view.getUint32(at + 12, true),
  };
}
