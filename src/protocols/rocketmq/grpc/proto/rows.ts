// The language of the schema tables: a row says a field's number, type and how often it occurs. The
// TypeScript types of messages are read off the rows.
//
// Presence is that of proto3: a plain field that is absent has its zero value and is not written when it
// has it; an optional field, a message and a member of a oneof may be undefined.
import { EMPTY_BYTES } from '../../../../std/bytes.ts';
import { compile, type MessageCodec } from './compile.ts';

export type ScalarKind = 'int32' | 'int64' | 'bool' | 'float' | 'string' | 'bytes';

/** The names of an enumeration's numbers. */
export type EnumValues = { readonly [name: string]: number };

export type FieldType =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'enum'; readonly values: EnumValues }
  | { readonly kind: 'message'; readonly message: Message<Rows> }
  /** map<string, string>: an entry is a message of key 1 and value 2. */
  | { readonly kind: 'map' };

export type Occurrence = 'plain' | 'optional' | 'repeated';

/** A field: `Out` is what decoding gives, `In` what encoding takes. */
export class Row<Out, In = Out> {
  declare readonly $out: Out;
  declare readonly $in: In;
  readonly number: number;
  readonly type: FieldType;
  readonly occurrence: Occurrence;
  /** What an absent field is. */
  readonly absent: unknown;
  /** Members of one oneof have its name: of them the last on the wire is set. */
  readonly oneof: string;

  constructor(
    number: number,
    type: FieldType,
    occurrence: Occurrence,
    absent: unknown,
    oneof: string = '',
  ) {
    this.number = number;
    this.type = type;
    this.occurrence = occurrence;
    this.absent = absent;
    this.oneof = oneof;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: rows of every type share one table.
export type Rows = { readonly [field: string]: Row<any, any> };

/** What decoding gives: every field, absent ones included. */
export type Decoded<R extends Rows> = { readonly [K in keyof R]: R[K]['$out'] };
/** What encoding takes: a field that is left out is absent. */
export type Encodable<R extends Rows> = { readonly [K in keyof R]?: R[K]['$in'] | undefined };

export interface Message<R extends Rows> extends MessageCodec {
  readonly name: string;
  readonly rows: R;
}

export type DecodedOf<M extends Message<Rows>> = Decoded<M['rows']>;
export type EncodableOf<M extends Message<Rows>> = Encodable<M['rows']>;

export function message<R extends Rows>(name: string, rows: R): Message<R> {
  return { name, rows, ...compile(name, rows) };
}

// ---- The words of the tables --------------------------------------------------------------------

const plain =
  <T>(kind: ScalarKind, zero: T) =>
  (number: number): Row<T> =>
    new Row(number, { kind }, 'plain', zero);

export const int32 = plain<number>('int32', 0);
/** Safe integers only; others are refused. */
export const int64 = plain<number>('int64', 0);
export const bool = plain<boolean>('bool', false);
export const float = plain<number>('float', 0);
export const string = plain<string>('string', '');
/** A view of the message. */
export const bytes = plain<Uint8Array>('bytes', EMPTY_BYTES);

/** A number; one that has no name in `values` is kept as it is, as proto3 has it. */
export function enumeration(number: number, values: EnumValues): Row<number> {
  return new Row(number, { kind: 'enum', values }, 'plain', 0);
}

/** A field that knows whether it was set. */
export function optional<Out, In>(row: Row<Out, In>): Row<Out | undefined, In> {
  return new Row(row.number, row.type, 'optional', undefined);
}

const NO_ITEMS: readonly never[] = Object.freeze([]);

export function repeated<Out, In>(
  row: Row<Out, In>,
): Row<readonly NonNullable<Out>[], readonly NonNullable<In>[]> {
  return new Row(row.number, row.type, 'repeated', NO_ITEMS);
}

/** A nested message. */
export function sub<R extends Rows>(
  number: number,
  of: Message<R>,
): Row<Decoded<R> | undefined, Encodable<R>> {
  return new Row(number, { kind: 'message', message: of }, 'optional', undefined);
}

const NO_ENTRIES: ReadonlyMap<string, string> = new Map();

export function mapOfStrings(
  number: number,
): Row<ReadonlyMap<string, string>, ReadonlyMap<string, string>> {
  return new Row(number, { kind: 'map' }, 'repeated', NO_ENTRIES);
}

/** Of these rows at most one is set. */
export function oneof<R extends Rows>(
  name: string,
  rows: R,
): { readonly [K in keyof R]: Row<R[K]['$out'] | undefined, R[K]['$in']> } {
  const members: { [field: string]: Row<unknown, unknown> } = {};
  for (const [field, row] of Object.entries(rows)) {
    members[field] = new Row(row.number, row.type, 'optional', undefined, name);
  }
  return members as { [K in keyof R]: Row<R[K]['$out'] | undefined, R[K]['$in']> };
}
