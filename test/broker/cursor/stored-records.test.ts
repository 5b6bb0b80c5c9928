import { describe, expect, it } from 'vitest';
import {
  decodeCursorValue,
  decodeMembership,
  decodeStoredKey,
  encodeCursorKey,
  encodeCursorValue,
  encodeGroupKey,
  encodeMembership,
} from '../../../src/broker/cursor/stored-records.ts';
import { toHex } from '../../../src/std/bytes.ts';

describe('stored records', () => {
  it('have the bytes of the OffsetCommitKey and GroupMetadataKey schemas', () => {
    expect(toHex(encodeCursorKey('g', 'ord', 2))).toBe(
      '0001' + '000167' + '00036f7264' + '00000002',
    );
    expect(toHex(encodeGroupKey('gé'))).toBe('0002' + '000367c3a9');
    expect(decodeStoredKey(encodeCursorKey('g', 'ord', 2))).toEqual({
      kind: 'cursor',
      group: 'g',
      destination: 'ord',
      partition: 2,
    });
    expect(decodeStoredKey(encodeGroupKey('gé'))).toEqual({ kind: 'group', group: 'gé' });
  });

  it('have the bytes of OffsetCommitValue version 3', () => {
    const value = encodeCursorValue({
      destination: 'ord',
      partition: 2,
      offset: 258,
      leaderEpoch: 7,
      metadata: 'm',
      commitTimeMs: 1,
    });
    expect(toHex(value)).toBe(
      '0003' + '0000000000000102' + '00000007' + '00016d' + '0000000000000001',
    );
    expect(decodeCursorValue(value)).toEqual({
      offset: 258,
      leaderEpoch: 7,
      metadata: 'm',
      commitTimeMs: 1,
    });
  });

  it('have the bytes of GroupMetadataValue version 3', () => {
    const membership = {
      protocolType: 'c',
      generation: 1,
      protocol: 'r',
      leader: undefined,
      sinceMs: 5,
      members: [
        {
          memberId: 'm',
          instanceId: undefined,
          clientId: 'x',
          clientHost: '/h',
          rebalanceTimeoutMs: 2,
          sessionTimeoutMs: 3,
          subscription: Uint8Array.of(9),
          assignment: new Uint8Array(0),
        },
      ],
    };
    const value = encodeMembership(membership);
    expect(toHex(value)).toBe(
      '0003' +
        '000163' +
        '00000001' +
        '000172' +
        'ffff' +
        '0000000000000005' +
        '00000001' +
        '00016d' +
        'ffff' +
        '000178' +
        '00022f68' +
        '00000002' +
        '00000003' +
        '00000001' +
        '09' +
        '00000000',
    );
    expect(decodeMembership(value)).toEqual(membership);
  });

  it('of a kind or version that is not ours are left alone, and cut bytes are no record', () => {
    expect(decodeStoredKey(Uint8Array.of(0, 3, 0, 1, 0x67))).toBeUndefined();
    expect(decodeStoredKey(Uint8Array.of(0))).toBeUndefined();
    expect(decodeStoredKey(encodeCursorKey('g', 'ord', 2).subarray(0, 9))).toBeUndefined();
    expect(decodeCursorValue(Uint8Array.of(0, 9))).toBeUndefined();
    expect(decodeMembership(Uint8Array.of(0, 3, 0))).toBeUndefined();
  });
});
