// Values of AMQP field tables with the type they have on the wire, because a number that was written as `I` must be
// read back as `I`: clients compare, and error texts name the type. Names are RabbitMQ's. A table is a list: order
// and repeated names survive, and the first of them counts, as in RabbitMQ.

/** Text where the bytes are UTF-8, else the bytes (a copy): the wire allows any bytes here. */
export type FieldText = string | Uint8Array;

/** 64 bits: a bigint only outside of +-(2^53 - 1). */
export type FieldLong = number | bigint;

export type FieldValue =
  | { readonly type: 'longstr'; readonly value: FieldText }
  | { readonly type: 'binary'; readonly value: Uint8Array }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: IntegerType | 'float' | 'double'; readonly value: number }
  | { readonly type: 'long' | 'timestamp'; readonly value: FieldLong }
  /** `digits` (u32) divided by ten to the power of `scale` (u8). */
  | { readonly type: 'decimal'; readonly scale: number; readonly digits: number }
  | { readonly type: 'table'; readonly value: FieldTable }
  | { readonly type: 'array'; readonly value: readonly FieldValue[] }
  | { readonly type: 'void' };

export type IntegerType =
  | 'byte'
  | 'unsignedbyte'
  | 'short'
  | 'unsignedshort'
  | 'signedint'
  | 'unsignedint';

export type FieldType = FieldValue['type'];

export interface Field {
  readonly name: FieldText;
  readonly value: FieldValue;
}

export type FieldTable = readonly Field[];

export const EMPTY_TABLE: FieldTable = Object.freeze([]);

/** The first value of that name. */
export function fieldOf(table: FieldTable, name: string): FieldValue | undefined {
  return table.find((field) => field.name === name)?.value;
}

/** What `tableOf` takes: the types that a server writes by itself. */
export type PlainValue = string | number | boolean | PlainTable;
export interface PlainTable {
  readonly [name: string]: PlainValue;
}

/** A table from a plain object: longstr, signedint or long, bool, and tables of these. */
export function tableOf(plain: PlainTable): FieldTable {
  return Object.entries(plain).map(([name, value]) => ({ name, value: fieldValueOf(value) }));
}

function fieldValueOf(value: PlainValue): FieldValue {
  switch (typeof value) {
    case 'string':
      return { type: 'longstr', value };
    case 'boolean':
      return { type: 'bool', value };
    case 'number':
      return { type: (value | 0) === value ? 'signedint' : 'long', value };
    default:
      return { type: 'table', value: tableOf(value) };
  }
}
