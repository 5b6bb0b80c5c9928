// The words that the schema tables are written in.
import { EMPTY_BYTES } from '../../../std/bytes.ts';
import { ZERO_UUID } from '../../../std/uuid.ts';
import { type Decoded, type Encodable, Row, type Rows } from './rows.ts';
import type { RecordsRef } from './wire.ts';

const NO_ITEMS: readonly never[] = Object.freeze([]);

export const bool: Row<boolean> = new Row({ kind: 'bool' }, false);
export const i8: Row<number> = new Row({ kind: 'i8' }, 0);
export const i16: Row<number> = new Row({ kind: 'i16' }, 0);
const _u16: Row<number> = new Row({ kind: 'u16' }, 0);
export const i32: Row<number> = new Row({ kind: 'i32' }, 0);
/** Safe integers only; others are refused. */
export const i64: Row<number> = new Row({ kind: 'i64' }, 0);
const _f64: Row<number> = new Row({ kind: 'f64' }, 0);
export const str: Row<string> = new Row({ kind: 'string' }, '');
/** 16 bytes, a view. */
export const uuid: Row<Uint8Array> = new Row({ kind: 'uuid' }, ZERO_UUID);
/** A view of the message. */
export const bytes: Row<Uint8Array> = new Row({ kind: 'bytes' }, EMPTY_BYTES);
/**
 * Record batches: a view of the message; encoding also takes a reference to bytes sent beside it.
 */
export const records: Row<Uint8Array | null, Uint8Array | RecordsRef | null> = new Row<
  Uint8Array,
  Uint8Array | RecordsRef
>({ kind: 'records' }, EMPTY_BYTES).nullable();

/** An array of scalars. */
export function listOf<Out, In>(item: Row<Out, In>): Row<readonly Out[], readonly In[]> {
  return new Row({ kind: 'list', item: item.type }, NO_ITEMS);
}

/** An array of structs. */
export function list<R extends Rows>(rows: R): Row<readonly Decoded<R>[], readonly Encodable<R>[]> {
  return new Row({ kind: 'list', item: { kind: 'struct', rows } }, NO_ITEMS);
}

/** A struct that may be absent: null then. */
export function struct<R extends Rows>(rows: R): Row<Decoded<R> | null, Encodable<R> | null> {
  return new Row<Decoded<R>, Encodable<R>>({ kind: 'struct', rows }, null).nullable();
}

/** One API key: its versions and the rows of both directions. */
export interface Api<Q extends Rows = Rows, R extends Rows = Rows> {
  readonly key: number;
  readonly name: string;
  readonly versionMin: number;
  readonly versionMax: number;
  /** First version with compact types, tags and the newer headers; Infinity: never. */
  readonly flexibleFrom: number;
  readonly request: Q;
  readonly response: R;
}

export type RequestOf<A extends Api> = Decoded<A['request']>;
export type ResponseOf<A extends Api> = Decoded<A['response']>;
export type RequestInput<A extends Api> = Encodable<A['request']>;
export type ResponseInput<A extends Api> = Encodable<A['response']>;

export function api<Q extends Rows, R extends Rows>(
  key: number,
  name: string,
  versions: readonly [min: number, max: number],
  flexibleFrom: number,
  request: Q,
  response: R,
): Api<Q, R> {
  const [versionMin, versionMax] = versions;
  return { key, name, versionMin, versionMax, flexibleFrom, request, response };
}
