// The memory in which frames lie: what was given back is used again, and what load does not need goes.
import { describe, expect, it } from 'vitest';
import { type Chunk, SlabPool } from '../../src/storage/slab.ts';

const CHUNK_BYTES = 1 << 20;

function takeAll(pool: SlabPool, count: number): Chunk[] {
  return Array.from({ length: count }, () => pool.take(1)!);
}

describe('slab memory', () => {
  it('is used again, as much of it as load had', () => {
    const pool = new SlabPool(64 * CHUNK_BYTES);
    const first = takeAll(pool, 20);
    for (const chunk of first) pool.release(chunk);
    expect(pool.usedBytes).toBe(0);
    const again = takeAll(pool, 20);
    expect(again.filter((chunk) => first.includes(chunk))).toHaveLength(16);
    expect(new Set(again.map(({ id }) => id)).size).toBe(20);
    for (const chunk of again) expect(pool.get(chunk.id)).toBe(chunk);
  });

  it('goes when it is not needed any more, but for a few chunks', () => {
    const pool = new SlabPool(64 * CHUNK_BYTES);
    const [held, ...rest] = takeAll(pool, 20);
    for (const chunk of rest) pool.release(chunk);
    pool.trim();
    const again = takeAll(pool, 19);
    expect(again.filter((chunk) => rest.includes(chunk))).toHaveLength(4);
    expect(new Set([held!, ...again].map(({ id }) => id)).size).toBe(20);
    // Ten are in use: as many stay for what comes.
    for (const chunk of again.slice(9)) pool.release(chunk);
    pool.trim();
    const last = takeAll(pool, 10);
    expect(last.filter((chunk) => again.includes(chunk))).toHaveLength(10);
  });

  it('is memory of one thread: V8 copies to and from shared memory word by word', () => {
    const chunk = new SlabPool(CHUNK_BYTES).take(3 * CHUNK_BYTES + 1)!;
    expect(chunk.bytes.buffer).toBeInstanceOf(ArrayBuffer);
    expect(chunk.bytes.length).toBe(3 * CHUNK_BYTES + 4096);
  });
});
