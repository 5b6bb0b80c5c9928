// The memory in which frames lie: what was given back is used again, and what load does not need goes.
import { describe, expect, it } from 'vitest';
import { type Chunk, SlabPool } from '../../src/storage/slab.ts';

const CHUNK_BYTES = 1 << 20;

function takeAll(pool: SlabPool, count: number): Chunk[] {
  return Array.from({ length: count }, () => pool.take(1)!);
}

describe('slab memory', () => {
  it('is used again, as much of it as load had since it was looked at before', () => {
    const pool = new SlabPool(64 * CHUNK_BYTES);
    const first = takeAll(pool, 20);
    for (const chunk of first.slice(5)) pool.release(chunk);
    pool.trim(false);
    const again = takeAll(pool, 20);
    expect(again.filter((chunk) => first.includes(chunk))).toHaveLength(15);
    expect(new Set([...first.slice(0, 5), ...again].map(({ id }) => id)).size).toBe(25);
    for (const chunk of again) expect(pool.get(chunk.id)).toBe(chunk);
    for (const chunk of again) pool.release(chunk);
    pool.trim(false);
    // Five are in use, ten is the most of them since then.
    for (const chunk of takeAll(pool, 5)) pool.release(chunk);
    pool.trim(false);
    const last = takeAll(pool, 20);
    expect(last.filter((chunk) => again.includes(chunk))).toHaveLength(5);
  });

  it('goes when there is no load, but for a few chunks', () => {
    const pool = new SlabPool(64 * CHUNK_BYTES);
    const [held, ...rest] = takeAll(pool, 20);
    for (const chunk of rest) pool.release(chunk);
    pool.trim(true);
    const again = takeAll(pool, 19);
    expect(again.filter((chunk) => rest.includes(chunk))).toHaveLength(4);
    expect(new Set([held!, ...again].map(({ id }) => id)).size).toBe(20);
  });

  it('is memory of one thread: V8 copies to and from shared memory word by word', () => {
    const chunk = new SlabPool(CHUNK_BYTES).take(3 * CHUNK_BYTES + 1)!;
    expect(chunk.bytes.buffer).toBeInstanceOf(ArrayBuffer);
    expect(chunk.bytes.length).toBe(3 * CHUNK_BYTES + 4096);
  });
});
