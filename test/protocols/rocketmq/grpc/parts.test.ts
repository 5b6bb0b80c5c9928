// The small pure parts against what others compute: hashes, handles, ids, times, names, addresses.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressOfName,
  brokerName,
  logsOfName,
  parseAuthority,
  placeOf,
} from '../../../../src/protocols/rocketmq/grpc/addressing.ts';
import { md5Hex } from '../../../../src/protocols/rocketmq/grpc/md5.ts';
import { refuseMessageId } from '../../../../src/protocols/rocketmq/grpc/message-id.ts';
import { groupName, tagFilter, topicName } from '../../../../src/protocols/rocketmq/grpc/names.ts';
import type { BrokerPicture, TopicView } from '../../../../src/protocols/rocketmq/grpc/ports.ts';
import {
  leaseOfHandle,
  receiptHandle,
} from '../../../../src/protocols/rocketmq/grpc/receipt-handle.ts';
import { Refusal } from '../../../../src/protocols/rocketmq/grpc/refusal.ts';
import { Code, FilterType } from '../../../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { sipHash24 } from '../../../../src/protocols/rocketmq/grpc/siphash.ts';
import {
  durationMs,
  partsOfMs,
  timestampMs,
} from '../../../../src/protocols/rocketmq/grpc/times.ts';
import { storedMessageId } from '../../../../src/records/stored-id.ts';
import { toHex } from '../../../../src/std/bytes.ts';

const require = createRequire(import.meta.url);
const KEY = Uint8Array.from({ length: 16 }, (_none, i) => i);

describe('hashes', () => {
  it("SipHash-2-4 gives its authors' vector and what the clients' library gives", () => {
    const message = Uint8Array.from({ length: 15 }, (_none, i) => i);
    // The 64-bit number 0xa129ca6149be45e5, little endian.
    expect(toHex(sipHash24(KEY, message))).toBe('e545be4961ca29a1');
    const theirs: (bytes: Uint8Array, key: Uint8Array) => Uint8Array = require('siphash24');
    const key16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const random = fc.property(key16, fc.uint8Array({ maxLength: 70 }), (key, bytes) => {
      expect(toHex(sipHash24(key, bytes))).toBe(toHex(theirs(bytes, key)));
    });
    fc.assert(random);
  });

  it('MD5 is what node:crypto computes, for every size of a block and many of more', () => {
    const crypto = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');
    for (let size = 0; size < 200; size += 1) {
      const bytes = Uint8Array.from({ length: size }, (_none, i) => i * 7 + size);
      expect(md5Hex(bytes)).toBe(crypto(bytes).toUpperCase());
    }
    const large = new Uint8Array(1_000_003).fill(0x5a);
    expect(md5Hex(large)).toBe(crypto(large).toUpperCase());
  });
});

describe('receipt handles', () => {
  const safe = fc.maxSafeNat();
  const lease = fc.record({
    logId: safe,
    offset: safe,
    epoch: fc.integer({ min: 0, max: 0xffff_ffff }),
    number: safe,
  });

  it('give the lease back, to the same group and under the same key only', () => {
    const random = fc.property(lease, fc.string(), fc.string(), (given, group, other) => {
      const handle = receiptHandle(KEY, given, group);
      expect(handle).toMatch(/^[A-Za-z0-9_-]{50}$/);
      expect(leaseOfHandle(KEY, handle, group)).toEqual(given);
      if (other !== group) expect(leaseOfHandle(KEY, handle, other)).toBe(undefined);
      expect(
        leaseOfHandle(
          KEY.map((byte) => byte + 1),
          handle,
          group,
        ),
      ).toBe(undefined);
    });
    fc.assert(random);
  });

  it('that were changed anywhere are refused', () => {
    const handle = receiptHandle(KEY, { logId: 7, offset: 1234, epoch: 3, number: 99 }, 'group');
    for (let i = 0; i < handle.length; i += 1) {
      for (const char of 'Az0-_') {
        if (handle[i] === char) continue;
        const forged = handle.slice(0, i) + char + handle.slice(i + 1);
        expect(leaseOfHandle(KEY, forged, 'group')).toBe(undefined);
      }
    }
    for (const nonsense of ['', 'x', `${handle}A`, handle.slice(1), `${handle.slice(1)}=`]) {
      expect(leaseOfHandle(KEY, nonsense, 'group')).toBe(undefined);
    }
    fc.assert(
      fc.property(fc.string({ minLength: 50, maxLength: 50 }), (text) => {
        expect(leaseOfHandle(KEY, text, 'group')).toBe(undefined);
      }),
    );
  });
});

describe('message ids', () => {
  interface Decoded {
    readonly version: number;
    readonly sequence: number;
  }
  const { MessageIdFactory } = require('rocketmq-client-nodejs/dist/message/MessageId.js') as {
    MessageIdFactory: { create(): { id: string }; decode(id: string): Decoded };
  };

  it("of clients are taken; those of stored messages have the clients' form", () => {
    expect(refuseMessageId(MessageIdFactory.create().id)).toBe(undefined);
    const stored = storedMessageId(0x0102_0304_0506, 0x1_0000_0002);
    expect(stored).toBe('01010203040506CB000000000100000002');
    expect(MessageIdFactory.decode(stored)).toMatchObject({ version: 1, sequence: 2 });
    expect(refuseMessageId(stored)).toBe(undefined);
  });

  it('that are none are refused', () => {
    expect(refuseMessageId('')).toMatch(/has an id/);
    expect(refuseMessageId('x'.repeat(256))).toMatch(/255/);
    expect(refuseMessageId('a b')).toMatch(/ASCII/);
  });
});

describe('times', () => {
  it('go to milliseconds and back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (ms) => {
        expect(timestampMs(partsOfMs(ms))).toBe(ms);
        expect(durationMs(partsOfMs(ms))).toBe(ms);
      }),
    );
    expect(durationMs({ seconds: -1, nanos: -500_000_000 })).toBe(-1500);
    expect(durationMs({ seconds: 0, nanos: 1_999_999 })).toBe(1);
  });

  it('that are none have no value', () => {
    expect(timestampMs({ seconds: -1, nanos: 0 })).toBe(undefined);
    expect(timestampMs({ seconds: 0, nanos: -1 })).toBe(undefined);
    expect(timestampMs({ seconds: 2 ** 50, nanos: 0 })).toBe(undefined);
    expect(durationMs({ seconds: 1, nanos: -1 })).toBe(undefined);
    expect(durationMs({ seconds: 0, nanos: 1_000_000_000 })).toBe(undefined);
    expect(durationMs({ seconds: 2 ** 53 - 1, nanos: 0 })).toBe(undefined);
  });
});

describe('names', () => {
  const resource = (name: string, resourceNamespace = '') => ({ resourceNamespace, name });

  it('are checked, with their namespace before them', () => {
    expect(topicName(resource('orders.v1'))).toBe('orders.v1');
    expect(topicName(resource('orders', 'ns'))).toBe('ns%orders');
    for (const bad of [undefined, resource(''), resource(' '), resource('a b'), resource('ä')]) {
      expect(topicName(bad)).toMatchObject({ code: Code.ILLEGAL_TOPIC });
      expect(groupName(bad)).toMatchObject({ code: Code.ILLEGAL_CONSUMER_GROUP });
    }
    expect(topicName(resource('x'.repeat(127)))).toHaveLength(127);
    expect(topicName(resource('x'.repeat(128)))).toBeInstanceOf(Refusal);
    expect(groupName(resource('x'.repeat(255)))).toHaveLength(255);
  });

  it.each([
    ['', undefined],
    ['*', undefined],
    [' * ', undefined],
    ['a', ['a']],
    ['a || b||c', ['a', 'b', 'c']],
    ['a || a ||', ['a']],
  ])('the expression "%s" means %j', (expression, tags) => {
    const filter = tagFilter({ type: FilterType.TAG, expression });
    expect(filter).toEqual({ tags: tags === undefined ? undefined : new Set(tags) });
  });

  it.each(['|', '||', 'a|b', `a${'||b'.repeat(2000)}`])(
    'the expression "%s" is refused',
    (text) => {
      const filter = tagFilter({ type: FilterType.TAG, expression: text });
      expect(filter).toMatchObject({ code: Code.ILLEGAL_FILTER_EXPRESSION });
    },
  );

  it('an expression of SQL is refused', () => {
    const filter = tagFilter({ type: FilterType.SQL, expression: 'a > 1' });
    expect(filter).toMatchObject({ code: Code.ILLEGAL_FILTER_EXPRESSION });
    expect(tagFilter(undefined)).toEqual({ tags: undefined });
  });
});

describe('addresses', () => {
  const topicOf = (leaders: number[], brokerNames = 4): TopicView => ({
    name: 't',
    logs: leaders.map((leaderNodeId, i) => ({ logId: 100 + i, leaderNodeId })),
    brokerNames,
    isQueue: false,
    kinds: ['normal'],
  });
  const pictureOf = (hosts: string[]): BrokerPicture => ({
    nodeId: 1,
    autoCreate: false,
    topic: () => undefined,
    nodes: () => hosts.map((host, i) => ({ nodeId: i + 1, host, port: 8080 + i + 1 })),
    group: () => ({ isFifo: false, deliveriesMax: 1, backoffMs: [] }),
  });

  it('a partition has one place for ever, and queue ids of a name are dense', () => {
    const random = fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 16 }),
      (partitions, names) => {
        const byName = new Map<number, number[]>();
        for (let p = 0; p < partitions; p += 1) {
          const { nameIndex, queueId } = placeOf(p, names);
          expect(queueId * names + nameIndex).toBe(p);
          byName.set(nameIndex, [...(byName.get(nameIndex) ?? []), queueId]);
        }
        for (const ids of byName.values()) expect(ids).toEqual(ids.map((_id, i) => i));
      },
    );
    fc.assert(random);
  });

  it('a name has its own logs, and a foreign name all', () => {
    const topic = topicOf([1, 1, 1, 1, 1, 1], 4);
    const ids = (name: string): number[] => logsOfName(topic, name).map(({ logId }) => logId);
    expect(ids(brokerName(0))).toEqual([100, 104]);
    expect(ids(brokerName(3))).toEqual([103]);
    for (const foreign of ['', 'broker-a', brokerName(4), 'callboard-00', 'callboard-x']) {
      expect(ids(foreign)).toHaveLength(6);
    }
  });

  it('lead to the node that leads most of the name, as seen from where the client dialled', () => {
    const dialled = { host: 'proxy.example', port: 9 };
    const topic = topicOf([2, 1, 3, 3, 2, 1, 3, 2, 3, -1, 1, 3], 4);
    const far = pictureOf(['a.example', 'b.example', 'c.example']);
    expect(addressOfName(far, topic, 0, dialled)).toEqual({ host: 'b.example', port: 8082 });
    expect(addressOfName(far, topic, 1, dialled)).toEqual(dialled);
    expect(addressOfName(far, topic, 2, dialled)).toEqual({ host: 'c.example', port: 8083 });
    const near = pictureOf(['127.0.0.1', 'localhost', '::1']);
    expect(addressOfName(near, topic, 0, dialled)).toEqual({ host: 'proxy.example', port: 8082 });
    // Nobody leads it, or the leader does not serve RocketMQ: this node does.
    expect(addressOfName(far, topicOf([-1]), 0, dialled)).toEqual(dialled);
    expect(addressOfName(far, topicOf([9]), 0, dialled)).toEqual(dialled);
    // A tie goes to the lower id, so that all nodes say the same.
    expect(addressOfName(far, topicOf([3, 2], 1), 0, dialled).host).toBe('b.example');
  });

  it.each([
    ['127.0.0.1:8081', { host: '127.0.0.1', port: 8081 }],
    ['localhost:1', { host: 'localhost', port: 1 }],
    ['[::1]:65535', { host: '::1', port: 65_535 }],
    ['', undefined],
    ['localhost', undefined],
    ['a:1,b:2', undefined],
    ['::1:80', undefined],
    ['a:0', undefined],
    ['a:65536', undefined],
    ['a/b:80', undefined],
  ])('the authority "%s" is %j', (authority, dialled) => {
    expect(parseAuthority(authority)).toEqual(dialled);
  });
});
