// Protocols: one value gives the message types, the opcodes and the codecs of an actor. Opcodes are
// the declaration order of the ops (u16), so a message that type-checks can also be sent to another
// thread or node. Not here: delivery. Invariant: a protocol value is frozen when it is made, and its
// hash names everything that both ends of a wire must agree on.
import type { Codec } from '../codec/codec.ts';
import { fnv1a32 } from '../std/hash.ts';

export type { Codec } from '../codec/codec.ts';

/** A one-way message with input `I`. */
export interface Tell<I> {
  readonly kind: 'tell';
  readonly input: Codec<I>;
  readonly isLent?: boolean;
}

/** A question with input `I` that is answered with `R`. */
export interface Ask<I, R> {
  readonly kind: 'ask';
  readonly input: Codec<I>;
  readonly reply: Codec<R>;
  readonly isLent?: boolean;
}

/** The ops of a protocol by name, in opcode order. */
export type Ops = { readonly [op: string]: Tell<unknown> | Ask<unknown, unknown> };

/** What the runtime knows of one op: looked up by name when sending, by code when receiving. */
export interface OpEntry {
  readonly code: number;
  readonly name: string;
  readonly isAsk: boolean;
  readonly input: Codec<unknown>;
  readonly reply: Codec<unknown> | undefined;
  /** The memory of a large message is used again when its handler has returned. */
  readonly isLent: boolean;
  /** Of its protocol. */
  readonly lane: 0 | 1;
}

/** A protocol whose ops are not known to the type system: what tables and handshakes hold. */
export interface AnyProtocol {
  readonly name: string;
  readonly version: number;
  /** Ops by opcode. */
  readonly table: readonly OpEntry[];
  readonly byName: ReadonlyMap<string, OpEntry>;
  /** FNV-1a of name, version, and the ops in order with the shapes of their codecs (u32). */
  readonly hash: number;
  /** Of links: 1 for bulk, which no other message waits behind. */
  readonly lane: 0 | 1;
}

export interface Protocol<O extends Ops> extends AnyProtocol {
  readonly ops: O;
}

export type Input<T> = T extends { readonly input: Codec<infer I> } ? I : never;
export type Reply<T> = T extends Ask<unknown, infer R> ? R : never;
export type TellOp<O extends Ops> = {
  [K in keyof O]: O[K] extends Tell<unknown> ? K : never;
}[keyof O] &
  string;
export type AskOp<O extends Ops> = {
  [K in keyof O]: O[K] extends Ask<unknown, unknown> ? K : never;
}[keyof O] &
  string;

export function tell<I>(input: Codec<I>): Tell<I> {
  return { kind: 'tell', input };
}

/**
 * A tell of bulk bytes. When it came from elsewhere, and is large, the views of its input point into memory
 * that is used again as soon as the handler has returned (an async one: at its first `await`): that of the
 * sending thread, or a pooled array of a link. So the handler neither keeps nor passes on such a view,
 * unless it calls `ctx.retain()`. Between threads it may have three quarters of a slab.
 */
export function lentTell<I>(input: Codec<I>): Tell<I> {
  return { kind: 'tell', input, isLent: true };
}

/** The same for a question, whose reply is copied as always. */
export function lentAsk<I, R>(input: Codec<I>, reply: Codec<R>): Ask<I, R> {
  return { kind: 'ask', input, reply, isLent: true };
}

export function ask<I, R>(input: Codec<I>, reply: Codec<R>): Ask<I, R> {
  return { kind: 'ask', input, reply };
}

const OPS_MAX = 0xffff;
/** Identifiers only: names that look like integers would not keep their declaration order. */
const OP_NAME = /^[A-Za-z][A-Za-z0-9]*$/;

export interface ProtocolOptions {
  /**
   * Its messages are bulk: between nodes they have a connection of their own, so that others do not wait behind them.
   * To one actor they keep their order; what is sent to others, answers and ends may overtake them.
   */
  readonly isBulk?: boolean;
}

/**
 * Declares a protocol. The order of `ops` is the order of the opcodes: append new ops at the end and
 * raise `version` when the meaning of an existing one changes.
 *
 * @throws Error when an op name is not an identifier or there are more than 65,535 ops.
 */
export function protocol<const O extends Ops>(
  name: string,
  version: number,
  ops: O,
  options: ProtocolOptions = {},
): Protocol<O> {
  const table: OpEntry[] = [];
  const byName = new Map<string, OpEntry>();
  const lane = options.isBulk === true ? 1 : 0;
  let hash = fnv1a32(`${name}/${version}`);
  for (const [op, definition] of Object.entries(ops)) {
    if (!OP_NAME.test(op)) throw new Error(`protocol ${name}: op name ${op} is not an identifier`);
    const entry: OpEntry = Object.freeze({
      code: table.length,
      name: op,
      isAsk: definition.kind === 'ask',
      input: definition.input,
      reply: definition.kind === 'ask' ? definition.reply : undefined,
      isLent: definition.isLent === true,
      lane,
    });
    const replyShape = entry.reply === undefined ? '' : ` -> ${entry.reply.shape}`;
    table.push(entry);
    byName.set(op, entry);
    hash = fnv1a32(`;${op}:${definition.input.shape}${replyShape}`, hash);
  }
  if (table.length > OPS_MAX) throw new Error(`protocol ${name}: more than ${OPS_MAX} ops`);
  if (lane === 1) hash = fnv1a32(';bulk', hash);
  return Object.freeze({ name, version, ops: Object.freeze(ops), table, byName, hash, lane });
}

/** One hash over a list of protocols, independent of the order of the list: compared by handshakes. */
export function protocolsHash(protocols: readonly AnyProtocol[]): number {
  const sorted = [...protocols].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  let hash = fnv1a32('');
  for (const each of sorted) hash = fnv1a32(`${each.name}#${each.hash.toString(16)}|`, hash);
  return hash;
}

/** What a handshake sends about a protocol so that a difference can be named. */
export interface ProtocolSummary {
  readonly name: string;
  readonly version: number;
  readonly hash: number;
}

export function protocolSummaries(protocols: readonly AnyProtocol[]): ProtocolSummary[] {
  return protocols.map(({ name, version, hash }) => ({ name, version, hash }));
}

/** The first difference between two lists in words, or undefined when they agree. */
export function protocolDifference(
  ours: readonly ProtocolSummary[],
  theirs: readonly ProtocolSummary[],
): string | undefined {
  const known = new Map(theirs.map((each) => [each.name, each]));
  for (const mine of ours) {
    const other = known.get(mine.name);
    if (other === undefined) return `protocol ${mine.name} is missing on the other side`;
    if (other.version !== mine.version) {
      return `protocol ${mine.name} has version ${mine.version} here and ${other.version} there`;
    }
    if (other.hash !== mine.hash) return `protocol ${mine.name} has other ops on the other side`;
    known.delete(mine.name);
  }
  for (const name of known.keys()) return `protocol ${name} is unknown here`;
  return undefined;
}
