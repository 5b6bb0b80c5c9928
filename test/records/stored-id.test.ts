// Ids that say where a message is.
import { expect, it } from 'vitest';
import { placeOfStoredId, storedMessageId } from '../../src/records/stored-id.ts';

it('says where the message is, and is read back', () => {
  const places = [
    [1, 0],
    [0x0102_0304_0506, 0x1_0000_0002],
    [7, Number.MAX_SAFE_INTEGER],
  ] as const;
  for (const [logId, offset] of places) {
    const id = storedMessageId(logId, offset);
    expect(id).toHaveLength(34);
    expect(placeOfStoredId(id)).toEqual({ logId, offset });
  }
});

it('is no id that a client has made, in lower case, or of an offset that cannot be', () => {
  const id = storedMessageId(11, 3);
  expect(placeOfStoredId(id.toLowerCase())).toBeUndefined();
  expect(placeOfStoredId(id.replace('CB00', 'CB01'))).toBeUndefined();
  expect(placeOfStoredId(`${id.slice(0, 18)}FFFFFFFFFFFFFFFF`)).toBeUndefined();
  expect(placeOfStoredId('m-1')).toBeUndefined();
});
