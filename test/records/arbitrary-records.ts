// Random records for property tests: null and empty keys, values and headers, wide times.
import fc from 'fast-check';
import type { RecordInput } from '../../src/records/records.ts';
import { anyCharacter } from '../setup/texts.ts';

const bytesOrNull = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null });
const header = fc.record({
  name: fc.string({ unit: anyCharacter, maxLength: 8 }),
  value: bytesOrNull,
});

export const anyRecord: fc.Arbitrary<RecordInput> = fc.record({
  timestampMs: fc.oneof(fc.nat(), fc.nat(2 ** 42)),
  key: bytesOrNull,
  value: bytesOrNull,
  headers: fc.array(header, { maxLength: 3 }),
});

export const anyRecords: fc.Arbitrary<RecordInput[]> = fc.array(anyRecord, {
  minLength: 1,
  maxLength: 8,
});
