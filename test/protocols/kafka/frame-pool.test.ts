import { expect, test } from 'vitest';
import { FramePool } from '../../../src/protocols/kafka/frame-pool.ts';
import { FRAME_LIMITS, FrameReader } from '../../../src/protocols/kafka/session.ts';

function framed(size: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(4 + size).fill(fill);
  new DataView(bytes.buffer).setUint32(0, size);
  bytes.set([0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff], 4);
  return bytes;
}

test('nothing is handed out that was not given back, and never a buffer that is too small', () => {
  const pool = new FramePool();
  expect(pool.take(64 * 1024)).toBeUndefined();
  pool.give(new Uint8Array(100_000));
  expect(pool.take(100_001)).toBeUndefined();
  expect(pool.take(65_536)?.length).toBe(100_000);
  expect(pool.take(65_536)).toBeUndefined();
  pool.give(new Uint8Array(1_000));
  expect(pool.idleBytes).toBe(0);
});

test('what lies idle is bounded', () => {
  const pool = new FramePool();
  for (let i = 0; i < 100; i += 1) pool.give(new Uint8Array(1024 * 1024));
  expect(pool.idleBytes).toBe(16 * 1024 * 1024);
});

test('a frame in used memory has its own size and bytes, whatever was there before', () => {
  const pool = new FramePool();
  const reader = new FrameReader(FRAME_LIMITS, pool);
  reader.receive(framed(70_000, 7));
  const first = reader.next();
  expect(first?.length).toBe(70_000);
  pool.give(first!);
  reader.receive(framed(50_000, 9));
  const second = reader.next();
  expect(second?.buffer).toBe(first?.buffer);
  expect(second?.length).toBe(50_000);
  expect(second?.subarray(10).every((byte) => byte === 9)).toBe(true);
  expect(reader.heldBytes).toBe(0);
});
