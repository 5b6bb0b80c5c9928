// References: plain values that name an actor on any thread of any node. Equality is equality of ids;
// a path is for people. Invariant: an id never names two actors: the generation of a reused slot
// differs, and it carries the incarnation of the thread in its upper bits.

import type { Codec } from '../codec/codec.ts';
import { defineCodec } from '../codec/codec.ts';
import { writeU32le } from '../std/byte-ops.ts';
import type { AskOp, Input, Ops, Reply, TellOp } from './protocol.ts';

/** What became of an offer: `full` is a moment's state, `gone` is final for this ref. */
export type Admission = 'accepted' | 'full' | 'gone';

export interface AskOptions {
  readonly timeoutMs: number;
  /** Frees the reply slot when aborted and sends the handler a hint. */
  readonly signal?: AbortSignal;
}

/** Where an actor lives. A thread is one run queue; `incarnation` counts the starts of the node. */
export interface Place {
  readonly node: number;
  readonly incarnation: number;
  readonly thread: number;
}

/** 16 bytes on the wire: node u32, incarnation u32, thread u8 + slot u24, generation u32. */
export interface RefId extends Place {
  /** 1..255 are well known, so a ref to them can be made without looking anything up. */
  readonly slot: number;
  /** Thread incarnation (12 bits) and slot generation (20 bits); 0 means whoever holds the slot. */
  readonly generation: number;
}

export interface AnyRef {
  readonly id: RefId;
  readonly path: string;
}

export interface Ref<O extends Ops> extends AnyRef {
  /** Never throws, never blocks; what cannot be delivered becomes a dead letter. */
  tell<K extends TellOp<O>>(op: K, input: Input<O[K]>): void;
  offer<K extends TellOp<O>>(op: K, input: Input<O[K]>): Admission;
  /** Resolves when an offer may succeed again, or when the target is gone. Rejects when aborted. */
  ready(signal?: AbortSignal): Promise<void>;
  /** Rejects with ActorError; the reply, a timeout or the target's end settles it exactly once. */
  ask<K extends AskOp<O>>(op: K, input: Input<O[K]>, options: AskOptions): Promise<Reply<O[K]>>;
}

export const SLOT_MAX = 0xff_ffff;
export const WELL_KNOWN_SLOT_MAX = 0xff;
export const THREAD_MAX = 0xff;
/** The generation of a ref that means whoever holds the slot. */
export const ANY_GENERATION = 0;
const SLOT_GENERATION_BITS = 20;
export const SLOT_GENERATION_MASK = (1 << SLOT_GENERATION_BITS) - 1;
const THREAD_INCARNATION_MASK = 0xfff;

/** Packs a thread incarnation and a slot's own count into the generation of a ref. */
export function packGeneration(threadIncarnation: number, slotGeneration: number): number {
  const upper = (threadIncarnation & THREAD_INCARNATION_MASK) << SLOT_GENERATION_BITS;
  return (upper | slotGeneration) >>> 0;
}

/** True if `generation` was made by this incarnation of its thread (or names any). */
export function isOfThreadIncarnation(generation: number, threadIncarnation: number): boolean {
  if (generation === ANY_GENERATION) return true;
  return generation >>> SLOT_GENERATION_BITS === (threadIncarnation & THREAD_INCARNATION_MASK);
}

export function sameRef(a: AnyRef, b: AnyRef): boolean {
  return sameId(a.id, b.id);
}

export function sameId(a: RefId, b: RefId): boolean {
  return (
    a.slot === b.slot &&
    a.generation === b.generation &&
    a.thread === b.thread &&
    a.node === b.node &&
    a.incarnation === b.incarnation
  );
}

/** A text that is equal for equal ids: the key of watch tables. Not on a message's path. */
export function refKey(id: RefId): string {
  // Whoever holds a well-known slot does so in any incarnation of its node.
  const incarnation = id.generation === ANY_GENERATION ? 0 : id.incarnation;
  return `${id.node}.${incarnation}.${id.thread}.${id.slot}.${id.generation}`;
}

/** The key of a thread of a node, whatever its incarnations. */
export function threadKey(node: number, thread: number): number {
  return node * (THREAD_MAX + 1) + thread;
}

/** The path of a ref that arrived as an id only. */
export function idPath(id: RefId): string {
  return `@${id.node}/${id.thread}/${id.slot}`;
}

const REF_ID_BYTES = 16;

/** Refs travel as ids; `Context.ref` or `System.ref` makes a usable ref of a received id. */
export const refId: Codec<RefId> = defineCodec<RefId>({
  shape: 'ref-id',
  sizeMin: REF_ID_BYTES,
  size: () => REF_ID_BYTES,
  encode(id, out, at) {
    writeU32le(out, at, id.node);
    writeU32le(out, at + 4, id.incarnation);
    writeU32le(out, at + 8, id.thread * (SLOT_MAX + 1) + id.slot);
    writeU32le(out, at + 12, id.generation);
    return at + REF_ID_BYTES;
  },
  read(reader) {
    const node = reader.u32le();
    const incarnation = reader.u32le();
    const place = reader.u32le();
    const generation = reader.u32le();
    return { node, incarnation, thread: place >>> 24, slot: place & SLOT_MAX, generation };
  },
});
