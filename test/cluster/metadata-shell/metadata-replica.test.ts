// What a node makes of a committed command that it cannot read.
import { expect, test } from 'vitest';
import { encodeCommand } from '../../../src/cluster/metadata/index.ts';
import { MetadataReplica } from '../../../src/cluster/metadata-shell/metadata-replica.ts';
import { BytesError, toHex } from '../../../src/std/bytes.ts';
import { queue } from '../metadata/routing-words.ts';
import { registration } from '../metadata/world.ts';

const limited = (deliveryLimit: number) =>
  encodeCommand(queue('q', 1, { quorum: { deliveryLimit } }));

/** The bytes of a limit beyond 2^53 - 1, which no writer here gives. */
function beyond(): Uint8Array {
  const bytes = limited(Number.MAX_SAFE_INTEGER);
  const at = toHex(bytes).indexOf('feffffffffffff1f') / 2;
  bytes[at + 7] = 0x7f;
  return bytes;
}

test('a number beyond what can be kept is refused where it is proposed', () => {
  for (const limit of [2 ** 53, -(2 ** 63), Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => limited(limit)).toThrow(BytesError);
  }
  expect(() => limited(Number.MIN_SAFE_INTEGER)).not.toThrow();
});

test('one that was committed nevertheless is refused by everybody, and the next command is applied', () => {
  const replica = new MetadataReplica(1);
  replica.apply(encodeCommand(registration(1)), 1);
  replica.apply(encodeCommand({ kind: 'unfence-node', node: 1, incarnation: 101 }), 2);
  expect(replica.apply(beyond(), 3)).toMatchObject({ code: 'malformed' });
  expect(replica.image.version).toBe(3);
  expect(replica.apply(limited(5), 4)).toBeUndefined();
  expect(replica.image.destination('/', 'q')?.queue?.quorum).toEqual({ deliveryLimit: 5 });
});

test('what a newer version may mean something by ends the node', () => {
  const replica = new MetadataReplica(1);
  const unknown = encodeCommand(registration(1));
  unknown[1] = 0xff;
  expect(() => replica.apply(unknown, 1)).toThrow(BytesError);
});
