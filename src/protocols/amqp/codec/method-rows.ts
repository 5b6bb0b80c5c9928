// The words that the table of methods is written in, and the TypeScript types that are read off it.
import type { FieldTable } from './field-values.ts';

export type ArgKind =
  | 'bit'
  | 'octet'
  | 'short'
  | 'long'
  | 'longlong'
  | 'shortstr'
  | 'longstr'
  | 'table';

/**
 * An argument. `T` is what it is in TypeScript. An `Optional` one may be left out when encoding and is then its
 * zero. A reserved one is on the wire only.
 */
class Arg<T, Optional extends boolean = boolean, Reserved extends boolean = boolean> {
  declare readonly $type: T;
  declare readonly $optional: Optional;
  readonly kind: ArgKind;
  readonly isReserved: Reserved;

  constructor(kind: ArgKind, isReserved: Reserved) {
    this.kind = kind;
    this.isReserved = isReserved;
  }
}

export type AnyArg = Arg<unknown>;
export type Args = { readonly [name: string]: AnyArg };

export const bit: Arg<boolean, true, false> = new Arg('bit', false);
export const octet: Arg<number, false, false> = new Arg('octet', false);
/** u16. */
export const short: Arg<number, false, false> = new Arg('short', false);
/** u32. */
export const long: Arg<number, false, false> = new Arg('long', false);
/** u64; beyond 2^53 - 1 it cannot be decoded here (the tape gives all its bits). */
export const longlong: Arg<number, false, false> = new Arg('longlong', false);
/** At most 255 bytes of UTF-8. */
export const shortstr: Arg<string, false, false> = new Arg('shortstr', false);
/** Any bytes; decoding copies them. */
export const longstr: Arg<Uint8Array, false, false> = new Arg('longstr', false);
export const table: Arg<FieldTable, true, false> = new Arg('table', false);

/** Written as its zero, skipped when read. */
export function reserved(arg: AnyArg): Arg<never, true, true> {
  return new Arg(arg.kind, true);
}

/** Who may send a method. */
export type Sender = 'client' | 'server' | 'both';
/** `sync`: the sender waits for an answer. `content`: a header and a body follow. */
export type MethodKind = 'sync' | 'plain' | 'content';

/** One method of the table. */
export interface MethodRow<A extends Args = Args> {
  readonly classId: number;
  readonly methodId: number;
  readonly from: Sender;
  readonly kind: MethodKind;
  readonly args: A;
}

export function row<A extends Args>(
  ids: readonly [classId: number, methodId: number],
  from: Sender,
  kind: MethodKind,
  args: A,
): MethodRow<A> {
  return { classId: ids[0], methodId: ids[1], from, kind, args };
}

type Visible<A extends Args> = {
  [K in keyof A]: A[K]['isReserved'] extends true ? never : K;
}[keyof A];
type Omissible<A extends Args> = {
  [K in Visible<A>]: A[K]['$optional'] extends true ? K : never;
}[Visible<A>];

/** What decoding a method gives. */
export type DecodedArgs<A extends Args> = { readonly [K in Visible<A>]: A[K]['$type'] };

/** What encoding a method takes. */
export type EncodableArgs<A extends Args> = {
  readonly [K in Exclude<Visible<A>, Omissible<A>>]: A[K]['$type'];
} & { readonly [K in Omissible<A>]?: A[K]['$type'] | undefined };
