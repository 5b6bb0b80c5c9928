// Random values of any message table, for comparisons with the official classes.
import fc from 'fast-check';
import type { Message, Rows } from '../../../../src/protocols/rocketmq/grpc/proto/index.ts';
import { anyCharacter } from '../../../setup/texts.ts';
import { NEWER_THAN_CLIENT } from './official.ts';

type AnyRow = Rows[string];
type Value = { [field: string]: unknown };

const safeInteger = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, 1, -1, 127, 128, 2 ** 31, 2 ** 32, -(2 ** 31), Number.MAX_SAFE_INTEGER),
);

function single(row: AnyRow): fc.Arbitrary<unknown> {
  const { type } = row;
  switch (type.kind) {
    case 'int32':
      return fc.integer();
    case 'enum':
      return fc.oneof(fc.constantFrom(...Object.values(type.values)), fc.integer());
    case 'int64':
      return safeInteger;
    case 'bool':
      return fc.boolean();
    case 'float':
      // The official JavaScript does not write the negative zero, the other languages do.
      return fc.float({ noNaN: true }).map((value) => (value === 0 ? 0 : value));
    case 'string':
      return fc.string({ unit: anyCharacter, maxLength: 200 });
    case 'bytes':
      return fc.uint8Array({ maxLength: 300 });
    case 'map':
      return fc
        .array(fc.tuple(mapKey(), fc.string({ maxLength: 20 })), { maxLength: 5 })
        .map((entries) => new Map(entries));
    case 'message':
      return arbitraryOf(type.message);
  }
}

/** The official classes keep maps in plain objects, which cannot hold this one name; ours can. */
function mapKey(): fc.Arbitrary<string> {
  return fc.string({ maxLength: 20 }).filter((key) => key !== '__proto__');
}

function field(row: AnyRow): fc.Arbitrary<unknown> {
  if (row.occurrence === 'repeated' && row.type.kind !== 'map') {
    return fc.array(single(row), { maxLength: 4 });
  }
  return single(row);
}

/** Keeps one of the members of each oneof. */
function withoutRivals(of: Message<Rows>, value: Value): Value {
  const seen = new Set<string>();
  const kept: Value = {};
  for (const [name, each] of Object.entries(value)) {
    const { oneof } = of.rows[name]!;
    if (oneof !== '' && seen.has(oneof)) continue;
    seen.add(oneof);
    kept[name] = each;
  }
  return kept;
}

export function arbitraryOf(of: Message<Rows>): fc.Arbitrary<Value> {
  const fields: { [name: string]: fc.Arbitrary<unknown> } = {};
  for (const [name, row] of Object.entries(of.rows)) {
    if (!NEWER_THAN_CLIENT.has(`${of.name}.${name}`)) fields[name] = field(row);
  }
  return fc.record(fields, { requiredKeys: [] }).map((value) => withoutRivals(of, value));
}
