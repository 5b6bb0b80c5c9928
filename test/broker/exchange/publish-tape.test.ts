// What lies on a tape is what was published, on however many pages, and the pages serve turn after turn.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RecordParts } from '../../../src/broker/access/queue-api.ts';
import { PublishTape } from '../../../src/broker/exchange/publish-tape.ts';
import { RouteInput } from '../../../src/broker/ports.ts';
import { BufferPool } from '../../../src/std/buffer-pool.ts';
import { EMPTY_BYTES, equalBytes } from '../../../src/std/bytes.ts';

const KIB = 1024;

interface Message {
  readonly routingKey: Uint8Array;
  readonly routed: Uint8Array;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array;
}

function add(tape: PublishTape, { routingKey, routed, key, value }: Message, flight: number): void {
  const route = new RouteInput();
  route.setKey(routingKey, 0, routingKey.length);
  Object.assign(route, { headers: routed, headersEnd: routed.length });
  const parts: RecordParts = {
    ...{ key: key ?? EMPTY_BYTES, keyStart: key === undefined ? -1 : 0, keyEnd: key?.length ?? 0 },
    ...{ value, valueStart: 0, valueEnd: value.length },
    ...{ headers: EMPTY_BYTES, headerCount: 0, headersStart: 0, headersEnd: 0 },
    timestampMs: flight * 10,
  };
  tape.add(route, parts, parts.timestampMs, flight, flight & 7);
}

function expectRow(tape: PublishTape, row: number, message: Message): void {
  const bytes = tape.bytes(row);
  const span = tape.firstSpan(row) * 2;
  const found = tape.message(row);
  const { keyStart, keyEnd, valueStart, valueEnd, headerCount, timestampMs } = found;
  const pairs: [Uint8Array, Uint8Array][] = [
    [message.routingKey, bytes.subarray(tape.spans[span]!, tape.spans[span + 1]!)],
    [message.routed, bytes.subarray(tape.headersStart(row), tape.bodyStart(row))],
    [message.key ?? EMPTY_BYTES, keyStart < 0 ? EMPTY_BYTES : found.key.subarray(keyStart, keyEnd)],
    [message.value, found.value.subarray(valueStart, valueEnd)],
  ];
  for (const [expected, there] of pairs) expect(equalBytes(there, expected)).toBe(true);
  expect([tape.flight(row), tape.flags(row), tape.spanCount(row)]).toEqual([row, row & 7, 1]);
  expect(tape.hasKey(row)).toBe(message.key !== undefined);
  expect([keyStart < 0, headerCount, timestampMs]).toEqual([!message.key, 0, row * 10]);
}

/** Of so many bytes, which say whose they are. */
function filled(size: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => seed + i * 7);
}

test('each row is what was published, from the smallest turn to one of many pages', () => {
  const sizes = fc.oneof(fc.nat(200), fc.nat(5 * KIB), fc.constantFrom(256 * KIB, 300 * KIB));
  const turns = fc.array(fc.array(sizes, { maxLength: 40 }), { minLength: 1, maxLength: 4 });
  const property = fc.property(turns, (all) => {
    const tape = new PublishTape(new BufferPool());
    for (const turn of all) {
      const messages = turn.map((size, i): Message => {
        const key = i % 3 === 0 ? undefined : filled(i % 50, i);
        return {
          routingKey: filled(i % 90, i),
          routed: filled(size % 70, i),
          key,
          value: filled(size, i),
        };
      });
      for (const [i, message] of messages.entries()) add(tape, message, i);
      expect(tape.count).toBe(messages.length);
      for (const [i, message] of messages.entries()) expectRow(tape, i, message);
      tape.clear();
      expect(tape.isEmpty).toBe(true);
    }
  });
  fc.assert(property, { numRuns: 60 });
});

test('turns of 2 MB use the pages of the first one again, and small turns use none', () => {
  const memory = new BufferPool();
  const tape = new PublishTape(memory);
  const message: Message = {
    routingKey: filled(9, 1),
    routed: EMPTY_BYTES,
    key: undefined,
    value: filled(KIB, 1),
  };
  const turn = (count: number): void => {
    for (let i = 0; i < count; i += 1) add(tape, message, i);
    tape.clear();
  };
  turn(3);
  expect(memory.made).toBe(0);
  turn(2_000);
  const { made, idleBytes } = memory;
  // 16 KiB, 64 KiB, then 256 KiB each.
  expect(made).toBe(2 + Math.ceil((2_000 * 1_036 - 84 * KIB) / (256 * KIB)));
  for (let i = 0; i < 50; i += 1) turn(2_000);
  expect([memory.made, memory.idleBytes]).toEqual([made, idleBytes]);
});
