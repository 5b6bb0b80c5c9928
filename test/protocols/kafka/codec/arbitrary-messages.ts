// Random messages made from the schema rows themselves, with what decoding them must give in a
// version.
import fc from 'fast-check';
import type { AnyRow, Rows, WireType } from '../../../../src/protocols/kafka/codec/rows.ts';
import { anyCharacter } from '../../../setup/texts.ts';

function anyOf(type: WireType): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case 'bool':
      return fc.boolean();
    case 'i8':
      return fc.integer({ min: -128, max: 127 });
    case 'i16':
      return fc.integer({ min: -32768, max: 32767 });
    case 'u16':
      return fc.nat(0xffff);
    case 'i32':
      return fc.integer();
    case 'i64':
      return fc.maxSafeInteger().map((n) => n + 0);
    case 'f64':
      return fc.double({ noNaN: true });
    case 'uuid':
      return fc.uint8Array({ minLength: 16, maxLength: 16 });
    case 'string':
      return fc.string({ unit: anyCharacter, maxLength: 12 });
    case 'bytes':
    case 'records':
      return fc.uint8Array({ maxLength: 20 });
    case 'list':
      return fc.array(anyOf(type.item), { maxLength: 3 });
    case 'struct':
      return anyStruct(type.rows);
  }
}

function anyRow(row: AnyRow): fc.Arbitrary<unknown> {
  const value = anyOf(row.type);
  return Number.isFinite(row.place.nullableFrom) ? fc.option(value, { nil: null }) : value;
}

/** A value with every field, whatever the version. */
export function anyStruct(rows: Rows): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, anyRow(row)])),
  ) as fc.Arbitrary<Record<string, unknown>>;
}

function expectedOf(type: WireType, value: unknown, version: number): unknown {
  if (type.kind === 'list') {
    return (value as unknown[]).map((item) => expectedOf(type.item, item, version));
  }
  if (type.kind === 'struct')
    return expectedStruct(type.rows, value as Record<string, unknown>, version);
  if (type.kind === 'i64') return (value as number) + 0;
  return value;
}

/** What comes out when `value` went through `version`. */
export function expectedStruct(
  rows: Rows,
  value: Record<string, unknown>,
  version: number,
): unknown {
  return Object.fromEntries(
    Object.entries(rows).map(([name, row]) => {
      const { from, to, fallback, nullableFrom, tag } = row.place;
      if (version < from || version > to) return [name, fallback];
      if (value[name] !== null) return [name, expectedOf(row.type, value[name], version)];
      return [name, version >= nullableFrom || tag >= 0 ? null : row.zero];
    }),
  );
}
