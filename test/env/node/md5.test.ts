// The system's MD5 and ours say the same: one node may have the first, another the second.
import { expect, it } from 'vitest';
import { createMd5Hex } from '../../../src/env/node/md5.ts';
import { md5Hex } from '../../../src/protocols/rocketmq/grpc/md5.ts';
import { SeededRandom } from '../../../src/std/prng.ts';

it('digests are those of the other implementation, at every size around a block', () => {
  const native = createMd5Hex();
  const random = new SeededRandom(11);
  for (const size of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1_000, 100_000]) {
    const bytes = Uint8Array.from({ length: size }, () => random.below(256));
    expect(native?.(bytes)).toBe(md5Hex(bytes));
  }
});
