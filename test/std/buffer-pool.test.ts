import { expect, test } from 'vitest';
import { BufferPool, pooledSize } from '../../src/std/buffer-pool.ts';

test('nothing idle is handed out that was not given back, and never too little', () => {
  const pool = new BufferPool();
  expect(pool.takeIdle(64 * 1024)).toBeUndefined();
  pool.give(new Uint8Array(100_000));
  expect(pool.takeIdle(100_001)).toBeUndefined();
  expect(pool.takeIdle(65_536)?.length).toBe(100_000);
  expect(pool.takeIdle(65_536)).toBeUndefined();
  pool.give(new Uint8Array(1_000));
  expect(pool.idleBytes).toBe(0);
});

test('what was taken and given back serves the same size again', () => {
  const pool = new BufferPool();
  for (const size of [16_384, 16_385, 64_000, 65_536, 65_537, 2 * 1024 * 1024]) {
    const bytes = pool.take(size);
    expect(bytes.length).toBeGreaterThanOrEqual(size);
    expect(bytes.length).toBe(pooledSize(size));
    pool.give(bytes.subarray(0, size));
    expect(pool.idleBytes).toBe(bytes.length);
    const again = pool.take(size);
    expect(again.buffer === bytes.buffer).toBe(true);
    expect(again.length).toBe(bytes.length);
    expect(pool.idleBytes).toBe(0);
  }
});

test('small and very large arrays have their own size and are not kept', () => {
  const pool = new BufferPool();
  for (const size of [1, 16_383, 2 * 1024 * 1024 + 1]) {
    const bytes = pool.take(size);
    expect(bytes.length).toBe(size);
    pool.give(bytes);
  }
  expect(pool.idleBytes).toBe(0);
});

test('what lies idle is bounded', () => {
  const pool = new BufferPool();
  for (let i = 0; i < 100; i += 1) pool.give(new Uint8Array(1024 * 1024));
  expect(pool.idleBytes).toBe(16 * 1024 * 1024);
});

test('what is given back is poisoned where it is asked for, whether it is kept or not', () => {
  const pool = new BufferPool(undefined, true);
  for (const size of [10, 20_000, 3_000_000]) {
    const bytes = pool.take(size);
    bytes.fill(1);
    pool.give(bytes);
    expect(bytes.every((byte) => byte === 0xdd)).toBe(true);
  }
});
