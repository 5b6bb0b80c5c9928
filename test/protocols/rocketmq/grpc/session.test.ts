import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type {
  BrokerAnswer,
  BrokerAsk,
  ReceiveAsk,
  Trouble,
} from '../../../../src/protocols/rocketmq/grpc/ports.ts';
import { encodeMessage } from '../../../../src/protocols/rocketmq/grpc/proto/index.ts';
import { receiptHandle } from '../../../../src/protocols/rocketmq/grpc/receipt-handle.ts';
import {
  ClientType,
  Code,
  DigestType,
  Encoding,
  MessageType,
  Permission,
} from '../../../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS, type Method } from '../../../../src/protocols/rocketmq/grpc/schema/methods.ts';
import { encodeUtf8 } from '../../../../src/std/bytes.ts';
import { murmur2 } from '../../../../src/std/hash.ts';
import { arbitraryOf } from './arbitrary.ts';
import { Harness } from './harness.ts';

const FIFO = { messageType: MessageType.FIFO };

describe('QueryAssignment', () => {
  const asked = { topic: { name: 'orders' }, group: { name: 'readers' } };

  it.each([
    [6, ['callboard-0', 'callboard-1', 'callboard-2', 'callboard-3']],
    [2, ['callboard-0', 'callboard-1']],
  ])('of %i partitions gives any queue of each name that has one', async (count, names) => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', count);
    harness.authority = 'proxy.example:9000';
    const { status, assignments } = await harness.ask(METHODS.queryAssignment, asked);
    expect(status).toEqual({ code: Code.OK, message: 'OK' });
    expect(assignments.map(({ messageQueue }) => messageQueue?.broker?.name)).toEqual(names);
    for (const { messageQueue } of assignments) {
      expect(messageQueue).toMatchObject({
        topic: { name: 'orders' },
        id: -1,
        permission: Permission.READ_WRITE,
        broker: { endpoints: { addresses: [{ host: 'proxy.example', port: 9000 }] } },
      });
    }
  });

  it('names what is asked for and not there, and makes nothing', async () => {
    const harness = new Harness();
    harness.broker.autoCreate = true;
    const ask = (change: object) =>
      harness.ask(METHODS.queryAssignment, { ...asked, ...change }).then(({ status }) => status);
    expect(await ask({})).toMatchObject({ code: Code.TOPIC_NOT_FOUND });
    expect(await ask({ topic: { name: 'not/legal' } })).toMatchObject({ code: Code.ILLEGAL_TOPIC });
    expect(await ask({ group: {} })).toMatchObject({ code: Code.ILLEGAL_CONSUMER_GROUP });
    expect(harness.broker.topic('orders')).toBeUndefined();
  });
});

describe('QueryRoute', () => {
  it('gives each partition its place, at the address that was dialled', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 6);
    harness.authority = 'proxy.example:9000';
    const { status, messageQueues } = await harness.ask(METHODS.queryRoute, {
      topic: { name: 'orders' },
      endpoints: { scheme: 3, addresses: [{ host: 'proxy.example', port: 9000 }] },
    });
    expect(status).toEqual({ code: Code.OK, message: 'OK' });
    expect(messageQueues.map(({ broker, id }) => `${broker?.name}/${id}`)).toEqual([
      'callboard-0/0',
      'callboard-1/0',
      'callboard-2/0',
      'callboard-3/0',
      'callboard-0/1',
      'callboard-1/1',
    ]);
    expect(messageQueues[0]).toMatchObject({
      topic: { name: 'orders' },
      permission: Permission.READ_WRITE,
      acceptMessageTypes: [MessageType.NORMAL, MessageType.FIFO],
      broker: {
        id: 0,
        endpoints: { scheme: 3, addresses: [{ host: 'proxy.example', port: 9000 }] },
      },
    });
  });

  it('falls back to the address of the connection, with its scheme', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    harness.authority = 'one:1,two:2';
    const { messageQueues } = await harness.ask(METHODS.queryRoute, { topic: { name: 'orders' } });
    expect(messageQueues[0]!.broker!.endpoints).toEqual({
      scheme: 1,
      addresses: [{ host: '10.0.0.1', port: 8081 }],
    });
  });

  it('names only kinds of messages that are served', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('all', 1, ['delay', 'normal', 'transaction']);
    const { messageQueues } = await harness.ask(METHODS.queryRoute, { topic: { name: 'all' } });
    expect(messageQueues[0]!.acceptMessageTypes).toEqual([MessageType.NORMAL]);
  });

  it('of a topic that is not there is TOPIC_NOT_FOUND in the known words', async () => {
    const harness = new Harness();
    const { status, messageQueues } = await harness.ask(METHODS.queryRoute, {
      topic: { name: 'nowhere' },
    });
    expect(status?.code).toBe(Code.TOPIC_NOT_FOUND);
    expect(status?.message).toContain(
      'CODE: 17  DESC: No topic route info in name server for the topic: nowhere',
    );
    expect(messageQueues).toEqual([]);
    const blank = await harness.ask(METHODS.queryRoute, {});
    expect(blank.status?.code).toBe(Code.ILLEGAL_TOPIC);
  });

  it('makes the topic where clients may, and says why not', async () => {
    const harness = new Harness();
    harness.broker.autoCreate = true;
    const made = await harness.ask(METHODS.queryRoute, { topic: { name: 'fresh' } });
    expect(made.messageQueues).toHaveLength(3);
    const results: [Trouble | 'ok', number][] = [
      ['refused', Code.ILLEGAL_TOPIC],
      ['unavailable', Code.HA_NOT_AVAILABLE],
      ['timed-out', Code.PROXY_TIMEOUT],
      ['busy', Code.TOO_MANY_REQUESTS],
      ['ok', Code.TOPIC_NOT_FOUND],
    ];
    for (const [result, code] of results) {
      harness.broker.trouble = () => ({ kind: 'create', result, reason: 'so it is' });
      const refused = await harness.ask(METHODS.queryRoute, { topic: { name: `not-${result}` } });
      expect(refused.status?.code).toBe(code);
    }
  });
});

describe('SendMessage', () => {
  it('stores body, group, tag, keys and properties as a record, and answers its place', async () => {
    const harness = new Harness();
    const [log] = harness.broker.makeTopic('orders', 1).logs;
    const { status, entries } = await harness.ask(METHODS.sendMessage, {
      messages: [
        {
          topic: { name: 'orders' },
          body: encodeUtf8('hello'),
          userProperties: new Map([
            ['colour', 'blue'],
            ['__proto__', 'x'],
          ]),
          systemProperties: {
            messageId: '0156F7E71C361B21BC024CCDBE00000000',
            messageType: MessageType.FIFO,
            messageGroup: 'customer-7',
            tag: 'new',
            keys: ['a', 'b c'],
            bornTimestamp: { seconds: 1_600_000_000, nanos: 5_000_000 },
            bornHost: 'laptop',
            bodyEncoding: Encoding.IDENTITY,
            queueId: 9,
            traceContext: 'trace',
          },
        },
      ],
    });
    expect(status?.code).toBe(Code.OK);
    expect(entries).toMatchObject([
      {
        status: { code: Code.OK },
        messageId: '0156F7E71C361B21BC024CCDBE00000000',
        transactionId: '0156F7E71C361B21BC024CCDBE00000000',
        offset: 0,
        recallHandle: '',
      },
    ]);
    const { record } = harness.broker.logs.get(log!.logId)![0]!;
    const text = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString();
    expect(record.timestampMs).toBe(1_600_000_000_005);
    expect(text(record.key)).toBe('customer-7');
    expect(text(record.value)).toBe('hello');
    expect(record.headers.map(({ name, value }) => [name, text(value)])).toEqual([
      ['UNIQ_KEY', '0156F7E71C361B21BC024CCDBE00000000'],
      ['TAGS', 'new'],
      ['KEYS', 'a'],
      ['KEYS', 'b c'],
      ['__BORNHOST', 'laptop'],
      ['TRACE_CONTEXT', 'trace'],
      ['__proto__', 'x'],
      ['colour', 'blue'],
    ]);
  });

  it('a message without a group has no key and goes to the logs in turn', async () => {
    const harness = new Harness();
    const { logs } = harness.broker.makeTopic('orders', 3);
    for (let i = 0; i < 6; i += 1) await harness.sendOne('orders');
    const counts = logs.map(({ logId }) => harness.broker.logs.get(logId)!.length);
    expect(counts).toEqual([2, 2, 2]);
    const { record } = harness.broker.logs.get(logs[0]!.logId)![0]!;
    expect(record.key).toBe(null);
    expect(record.timestampMs).toBe(harness.now.wallMs);
  });

  it('a log that nobody leads is passed over while another is led', async () => {
    const harness = new Harness();
    const { logs } = harness.broker.makeTopic('orders', 3);
    Object.assign(logs[1]!, { leaderNodeId: -1 });
    for (let i = 0; i < 6; i += 1) await harness.sendOne('orders');
    const count = (i: number) => harness.broker.logs.get(logs[i]!.logId)!.length;
    expect(count(1)).toBe(0);
    expect(count(0) + count(2)).toBe(6);
  });

  it('a group always goes where its key goes in Kafka, in one batch with its like', async () => {
    const harness = new Harness();
    const { logs } = harness.broker.makeTopic('orders', 5);
    const groups = ['a', 'b', 'c', 'a', 'b', 'a', 'ä'];
    const { entries } = await harness.ask(METHODS.sendMessage, {
      messages: groups.map((messageGroup, i) => ({
        topic: { name: 'orders' },
        body: Uint8Array.of(i),
        systemProperties: { messageId: `id-${i}`, ...FIFO, messageGroup },
      })),
    });
    expect(entries.map(({ messageId }) => messageId)).toEqual(groups.map((_group, i) => `id-${i}`));
    groups.forEach((group, i) => {
      const key = encodeUtf8(group);
      const { logId } = logs[(murmur2(key) & 0x7fff_ffff) % 5]!;
      const { record } = harness.broker.logs.get(logId)![entries[i]!.offset]!;
      expect([...record.value]).toEqual([i]);
      expect(record.key).toEqual(key);
    });
    const appends = harness.broker.asked.filter(({ kind }) => kind === 'append');
    expect(appends.length).toBeLessThanOrEqual(4);
  });

  it('a compressed body is stored plain', async () => {
    const unpack = (bytes: Uint8Array, maxOutputLength: number) =>
      gunzipSync(bytes, { maxOutputLength });
    const harness = new Harness({}, unpack);
    const [log] = harness.broker.makeTopic('orders', 1).logs;
    const zipped = { bodyEncoding: Encoding.GZIP };
    await harness.sendOne('orders', zipped, { body: gzipSync('plain') });
    const { value } = harness.broker.logs.get(log!.logId)![0]!.record;
    expect(Buffer.from(value).toString()).toBe('plain');
    const bomb = await harness.sendOne('orders', zipped, { body: gzipSync(Buffer.alloc(5e6)) });
    expect(bomb.status?.code).toBe(Code.MESSAGE_CORRUPTED);
    const none = await harness.sendOne('orders', zipped, { body: Uint8Array.of(1, 2) });
    expect(none.status?.code).toBe(Code.MESSAGE_CORRUPTED);
    const without = new Harness();
    without.broker.makeTopic('orders', 1);
    const unknown = await without.sendOne('orders', zipped, { body: gzipSync('x') });
    expect(unknown.status?.code).toBe(Code.NOT_IMPLEMENTED);
  });

  it.each<[string, number, object, object]>([
    ['an empty body', Code.MESSAGE_BODY_EMPTY, {}, { body: new Uint8Array(0) }],
    ['a large body', Code.MESSAGE_BODY_TOO_LARGE, {}, { body: new Uint8Array(4_194_305) }],
    ['no id', Code.ILLEGAL_MESSAGE_ID, { messageId: '' }, {}],
    ['an id with spaces', Code.ILLEGAL_MESSAGE_ID, { messageId: 'a b' }, {}],
    ['FIFO without a group', Code.ILLEGAL_MESSAGE_GROUP, FIFO, {}],
    ['a blank group', Code.ILLEGAL_MESSAGE_GROUP, { ...FIFO, messageGroup: ' ' }, {}],
    ['a long group', Code.ILLEGAL_MESSAGE_GROUP, { ...FIFO, messageGroup: 'x'.repeat(64) }, {}],
    ['a group with a newline', Code.ILLEGAL_MESSAGE_GROUP, { ...FIFO, messageGroup: 'a\n' }, {}],
    ['NORMAL with a group', Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, { messageGroup: 'g' }, {}],
    ['no type', Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, { messageType: 0 }, {}],
    ['a type of the future', Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, { messageType: 77 }, {}],
    ['a blank tag', Code.ILLEGAL_MESSAGE_TAG, { tag: ' ' }, {}],
    ['a tag with a bar', Code.ILLEGAL_MESSAGE_TAG, { tag: 'a|b' }, {}],
    ['a tag with a control character', Code.ILLEGAL_MESSAGE_TAG, { tag: 'a\u0001' }, {}],
    ['a blank key', Code.ILLEGAL_MESSAGE_KEY, { keys: ['a', ' '] }, {}],
    ['a key with a control character', Code.ILLEGAL_MESSAGE_KEY, { keys: ['\u0085'] }, {}],
    [
      "a property of the system's",
      Code.ILLEGAL_MESSAGE_PROPERTY_KEY,
      {},
      { userProperties: new Map([['UNIQ_KEY', 'x']]) },
    ],
    [
      'a property without a name',
      Code.ILLEGAL_MESSAGE_PROPERTY_KEY,
      {},
      { userProperties: new Map([['', 'x']]) },
    ],
    [
      'a property with a control character',
      Code.ILLEGAL_MESSAGE_PROPERTY_KEY,
      {},
      { userProperties: new Map([['a', 'x\u0002']]) },
    ],
    [
      'many properties',
      Code.MESSAGE_PROPERTIES_TOO_LARGE,
      {},
      { userProperties: new Map(Array.from({ length: 129 }, (_none, i) => [`p${i}`, ''])) },
    ],
    [
      'large properties',
      Code.MESSAGE_PROPERTIES_TOO_LARGE,
      { tag: 't', keys: ['k'] },
      { userProperties: new Map([['a', 'x'.repeat(16_381)]]) },
    ],
    [
      'a wrong digest',
      Code.MESSAGE_CORRUPTED,
      { bodyDigest: { type: DigestType.MD5, checksum: '00' } },
      {},
    ],
    ['a delayed message without a time', Code.ILLEGAL_DELIVERY_TIME, { messageType: 3 }, {}],
    [
      'a delivery time that is none',
      Code.ILLEGAL_DELIVERY_TIME,
      { messageType: 3, deliveryTimestamp: { seconds: -1 } },
      {},
    ],
    [
      'a message for later',
      Code.NOT_IMPLEMENTED,
      { messageType: 3, deliveryTimestamp: { seconds: 1_700_000_001 } },
      {},
    ],
    ['a transactional message', Code.NOT_IMPLEMENTED, { messageType: 4 }, {}],
    ['a lite message', Code.NOT_IMPLEMENTED, { messageType: 5, liteTopic: 'x' }, {}],
    ['a message with a priority', Code.NOT_IMPLEMENTED, { messageType: 6, priority: 1 }, {}],
    [
      'a kind that the topic has not',
      Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE,
      {
        ...FIFO,
        messageGroup: 'g',
      },
      {},
    ],
    ['a topic that is none', Code.ILLEGAL_TOPIC, {}, { topic: { name: 'a b' } }],
    ['a topic that is not there', Code.TOPIC_NOT_FOUND, {}, { topic: { name: 'x' } }],
    ['no system properties', Code.MESSAGE_CORRUPTED, {}, { systemProperties: undefined }],
  ])(
    '%s is refused with its own code, and nothing is stored',
    async (_what, code, system, rest) => {
      const harness = new Harness();
      harness.broker.makeTopic('orders', 1, ['normal']);
      const message = {
        topic: { name: 'orders' },
        body: Uint8Array.of(1),
        systemProperties: { messageId: 'id-1', messageType: 1, ...system },
        ...rest,
      };
      const { status, entries } = await harness.ask(METHODS.sendMessage, { messages: [message] });
      expect(status?.code).toBe(code);
      expect(status?.message).not.toBe('');
      expect(entries).toEqual([]);
      expect(harness.broker.asked).toEqual([]);
    },
  );

  it('what is just small enough is taken', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    const body = new Uint8Array(4_194_304);
    expect((await harness.sendOne('orders', {}, { body })).status?.code).toBe(Code.OK);
    const group = { ...FIFO, messageGroup: 'x'.repeat(63) };
    expect((await harness.sendOne('orders', group)).status?.code).toBe(Code.OK);
    const userProperties = new Map([['a', 'x'.repeat(16_383)]]);
    expect((await harness.sendOne('orders', {}, { userProperties })).status?.code).toBe(Code.OK);
    const checksum = '55A54008AD1BA589AA210D2629C1DF41';
    const digest = { bodyDigest: { type: DigestType.MD5, checksum: checksum.toLowerCase() } };
    expect((await harness.sendOne('orders', digest)).status?.code).toBe(Code.OK);
  });

  it('a delivery time that has passed is no reason to wait', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('later', 1, ['delay']);
    const due = { messageType: MessageType.DELAY, deliveryTimestamp: { seconds: 1_600_000_000 } };
    expect((await harness.sendOne('later', due)).status?.code).toBe(Code.OK);
    const { messages } = await harness.receive('later');
    expect(messages[0]?.systemProperties).toMatchObject({
      messageType: MessageType.DELAY,
      deliveryTimestamp: { seconds: 1_600_000_000 },
    });
  });

  it('several topics, or no message, are MESSAGE_CORRUPTED; too many are PAYLOAD_TOO_LARGE', async () => {
    const harness = new Harness({ messagesPerSendMax: 2 });
    harness.broker.makeTopic('orders', 1);
    const of = (name: string) => ({
      topic: { name },
      body: Uint8Array.of(1),
      systemProperties: { messageId: 'i', messageType: 1 },
    });
    const code = async (...names: string[]) =>
      (await harness.ask(METHODS.sendMessage, { messages: names.map(of) })).status?.code;
    expect(await code()).toBe(Code.MESSAGE_CORRUPTED);
    expect(await code('orders', 'other')).toBe(Code.MESSAGE_CORRUPTED);
    expect(await code('orders', 'orders', 'orders')).toBe(Code.PAYLOAD_TOO_LARGE);
    expect(await code('orders', 'orders')).toBe(Code.OK);
  });

  it("the broker's trouble is told per message, and together when it differs", async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 2);
    const results: [string, number][] = [
      ['unavailable', Code.HA_NOT_AVAILABLE],
      ['timed-out', Code.PROXY_TIMEOUT],
      ['busy', Code.TOO_MANY_REQUESTS],
      ['refused', Code.FORBIDDEN],
      ['too-large', Code.MESSAGE_BODY_TOO_LARGE],
      ['unknown-log', Code.TOPIC_NOT_FOUND],
    ];
    for (const [result, code] of results) {
      harness.broker.trouble = () =>
        ({ kind: 'append', result, baseOffset: -1, reason: 'so it is' }) as BrokerAnswer;
      const { status, entries } = await harness.sendOne('orders');
      expect(status).toEqual({ code, message: 'so it is' });
      expect(entries[0]).toMatchObject({ status: { code }, messageId: '', offset: 0 });
    }
    const [, second] = harness.broker.topic('orders')!.logs;
    harness.broker.trouble = (ask) =>
      ask.kind === 'append' && ask.logId === second!.logId
        ? { kind: 'append', result: 'timed-out', baseOffset: -1, reason: 'late' }
        : undefined;
    const { status, entries } = await harness.ask(METHODS.sendMessage, {
      messages: ['a', 'b', 'c', 'd', 'e', 'f'].map((messageGroup) => ({
        topic: { name: 'orders' },
        body: Uint8Array.of(1),
        systemProperties: { messageId: 'i', ...FIFO, messageGroup },
      })),
    });
    expect(status?.code).toBe(Code.MULTIPLE_RESULTS);
    const codes = new Set(entries.map((entry) => entry.status?.code));
    expect(codes).toEqual(new Set([Code.OK, Code.PROXY_TIMEOUT]));
  });

  it('asks no longer than the client listens', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    harness.deadlineMs = harness.now.monotonicMs + 3000;
    await harness.sendOne('orders');
    expect(harness.broker.asked[0]).toMatchObject({ timeoutMs: 2500 });
    harness.deadlineMs = Number.POSITIVE_INFINITY;
    await harness.sendOne('orders');
    expect(harness.broker.asked[1]).toMatchObject({ timeoutMs: 10_000 });
  });
});

describe('ReceiveMessage', () => {
  it('answers status, messages, time of delivery, and the message as it was sent', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 5);
    const userProperties = new Map([['colour', 'blue']]);
    const system = { ...FIFO, messageGroup: 'g', tag: 't', keys: ['a', 'b'], bornHost: 'laptop' };
    await harness.sendOne('orders', { ...system, traceContext: 'x' }, { userProperties });
    const { order, messages, code } = await harness.receive('orders');
    expect(code).toBe(Code.OK);
    expect(order).toEqual([['status'], ['message'], ['deliveryTimestamp']]);
    expect(messages[0]).toMatchObject({
      topic: { name: 'orders' },
      userProperties,
      body: Uint8Array.of(1),
      systemProperties: {
        ...system,
        traceContext: 'x',
        messageId: 'id-1',
        bodyEncoding: Encoding.IDENTITY,
        bodyDigest: { type: DigestType.MD5, checksum: '55A54008AD1BA589AA210D2629C1DF41' },
        bornTimestamp: { seconds: 1_700_000_000, nanos: 0 },
        queueOffset: 0,
        deliveryAttempt: 1,
        invisibleDuration: { seconds: 30, nanos: 0 },
      },
    });
    expect(messages[0]!.systemProperties!.receiptHandle).toHaveLength(50);
  });

  it('gives records of other protocols an id, keys a group, and leaves out what is no text', async () => {
    const harness = new Harness();
    const [log] = harness.broker.makeTopic('orders', 1).logs;
    const stored = { deliveryCount: 0, lease: 0, isDone: false };
    const bad = Uint8Array.of(0xff);
    const record = {
      timestampMs: 5,
      key: encodeUtf8('k'),
      value: Uint8Array.of(9),
      headers: [
        { name: 'plain', value: encodeUtf8('1') },
        { name: 'plain', value: encodeUtf8('2') },
        { name: 'binary', value: bad },
        { name: 'null', value: null },
        { name: 'KEYS', value: encodeUtf8('x') },
        { name: 'TIMER_DELIVER_MS', value: encodeUtf8('soon') },
      ],
    };
    harness.broker.logs.get(log!.logId)!.push({ ...stored, record });
    const tombstone = { timestampMs: -1, key: bad, value: null as never, headers: [] };
    harness.broker.logs.get(log!.logId)!.push({ ...stored, record: tombstone });
    const { messages } = await harness.receive('orders');
    expect(messages[0]).toMatchObject({
      userProperties: new Map([['plain', '2']]),
      systemProperties: {
        messageId: '01000000000001CB000000000000000000',
        messageGroup: 'k',
        messageType: MessageType.FIFO,
        keys: ['x'],
        deliveryTimestamp: undefined,
        tag: undefined,
      },
    });
    expect(messages[1]).toMatchObject({
      body: new Uint8Array(0),
      systemProperties: {
        messageId: '01000000000001CB000000000000000001',
        messageGroup: undefined,
        messageType: MessageType.NORMAL,
        bornTimestamp: { seconds: 0, nanos: 0 },
      },
    });
  });

  it('of a name takes all its queues, whatever queue id is asked for', async () => {
    const harness = new Harness();
    const { logs } = harness.broker.makeTopic('orders', 6);
    const asked = async (name: string, id: number) => {
      const messageQueue = { topic: { name: 'orders' }, id, broker: { name } };
      await harness.receive('orders', { messageQueue });
      return (harness.broker.asked.at(-1) as ReceiveAsk).logIds;
    };
    const ids = logs.map(({ logId }) => logId);
    expect(await asked('callboard-1', 0)).toEqual([ids[1], ids[5]]);
    expect(await asked('callboard-1', 1)).toEqual([ids[1], ids[5]]);
    expect(await asked('callboard-3', -1)).toEqual([ids[3]]);
    expect(await asked('', 0)).toEqual(ids);
  });

  it('says MESSAGE_NOT_FOUND when there is nothing in time, and still ends well', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    const { code, order, call } = await harness.receive('orders');
    expect(code).toBe(Code.MESSAGE_NOT_FOUND);
    expect(order).toEqual([['status'], ['deliveryTimestamp']]);
    expect(harness.answers.get(call)?.status).toBe(0);
  });

  it('waits for messages, wakes for them, and gives them a filter', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    const filterExpression = { type: 1, expression: 'a || b' };
    const waiting = await harness.receive('orders', {
      longPollingTimeout: { seconds: 5 },
      filterExpression,
    });
    expect(waiting.code).toBe(undefined);
    await harness.sendOne('orders', { tag: 'c' });
    await harness.settle();
    expect(harness.got(waiting.call, METHODS.receiveMessage)).toEqual([]);
    await harness.sendOne('orders', { tag: 'b' });
    await harness.settle();
    const [, answer] = harness.got(waiting.call, METHODS.receiveMessage);
    expect(answer?.message?.systemProperties?.tag).toBe('b');
    expect(harness.broker.asked[0]).toMatchObject({ tags: new Set(['a', 'b']), waitMs: 5000 });
  });

  it('waits as long as was asked for, and never past the deadline', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    const waitMs = async (longPollingTimeout: object | undefined, leftMs: number) => {
      harness.deadlineMs = harness.now.monotonicMs + leftMs;
      const { code } = await harness.receive('orders', { longPollingTimeout });
      harness.broker.stopWaiting();
      await harness.settle();
      return code ?? (harness.broker.asked.at(-1) as ReceiveAsk).waitMs;
    };
    expect(await waitMs({ seconds: 3 }, 60_000)).toBe(3000);
    expect(await waitMs({ seconds: 60 }, 60_000)).toBe(20_000);
    expect(await waitMs(undefined, 60_000)).toBe(20_000);
    expect(await waitMs({ seconds: 10 }, 6000)).toBe(5500);
    expect(await waitMs({ seconds: 10 }, 400)).toBe(Code.ILLEGAL_POLLING_TIME);
    expect(await waitMs({ seconds: -1 }, 6000)).toBe(Code.ILLEGAL_POLLING_TIME);
  });

  it('asks for a batch within bounds', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    await harness.receive('orders', { batchSize: 1000, attemptId: 'again' });
    expect(harness.broker.asked[0]).toMatchObject({
      messagesMax: 32,
      leaseMs: 30_000,
      clientId: 'client-1',
      group: 'group',
    });
  });

  it.each<[string, number, object]>([
    ['no batch', Code.BAD_REQUEST, { batchSize: 0 }],
    ['a negative batch', Code.BAD_REQUEST, { batchSize: -1 }],
    ['no invisible time', Code.ILLEGAL_INVISIBLE_TIME, { invisibleDuration: undefined }],
    ['a short one', Code.ILLEGAL_INVISIBLE_TIME, { invisibleDuration: { seconds: 9 } }],
    ['a long one', Code.ILLEGAL_INVISIBLE_TIME, { invisibleDuration: { seconds: 43_201 } }],
    ['a lease that renews itself', Code.NOT_IMPLEMENTED, { autoRenew: true }],
    ['SQL', Code.ILLEGAL_FILTER_EXPRESSION, { filterExpression: { type: 2, expression: 'a' } }],
    ['no group', Code.ILLEGAL_CONSUMER_GROUP, { group: undefined }],
    ['no topic', Code.ILLEGAL_TOPIC, { messageQueue: undefined }],
    ['another topic', Code.TOPIC_NOT_FOUND, { messageQueue: { topic: { name: 'x' } } }],
  ])('%s is refused with its own code', async (_what, code, request) => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    const refused = await harness.receive('orders', request);
    expect(refused).toMatchObject({ code, order: [['status']] });
    expect(harness.broker.asked).toEqual([]);
  });

  it('of a queue knows no filters: what they leave out would be lost to others', async () => {
    const harness = new Harness();
    harness.broker.makeQueue('tasks');
    await harness.sendOne('tasks');
    const filterExpression = { type: 1, expression: 'wanted' };
    const refused = await harness.receive('tasks', { filterExpression });
    expect(refused.code).toBe(Code.ILLEGAL_FILTER_EXPRESSION);
    expect((await harness.receive('tasks')).messages).toHaveLength(1);
  });

  it('works for a client that this node has never heard of, but not without an id', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    await harness.sendOne('orders');
    expect((await harness.receive('orders')).messages).toHaveLength(1);
    harness.clientId = '';
    expect((await harness.receive('orders')).code).toBe(Code.CLIENT_ID_REQUIRED);
  });

  it('of a client that has gone gives back what it never saw, and waits no longer', async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    const { call } = await harness.receive('orders', { longPollingTimeout: { seconds: 20 } });
    expect(harness.broker.waitingCount).toBe(1);
    harness.session.cancelled(call);
    expect(harness.broker.waitingCount).toBe(0);
    expect(harness.broker.told[0]).toMatchObject({ kind: 'abandon' });
    await harness.settle();
    expect(harness.session.counts).toMatchObject({ exchanges: 0, asked: 0 });

    await harness.sendOne('orders');
    const late = harness.start(METHODS.receiveMessage, {
      group: { name: 'group' },
      messageQueue: { topic: { name: 'orders' } },
      batchSize: 1,
      invisibleDuration: { seconds: 30 },
    });
    harness.session.cancelled(late);
    await harness.settle();
    expect(harness.broker.told.at(-1)).toMatchObject({
      kind: 'give-back',
      group: 'group',
      leases: [{ offset: 0 }],
    });
    expect(harness.answers.get(late)?.messages).toEqual([]);
    const again = await harness.receive('orders');
    expect(again.messages[0]?.systemProperties?.deliveryAttempt).toBe(1);
    expect(harness.session.counts).toMatchObject({ exchanges: 0, asked: 0 });
  });

  it("tells the broker's trouble", async () => {
    const harness = new Harness();
    harness.broker.makeTopic('orders', 1);
    harness.broker.trouble = () => ({ kind: 'receive', result: 'busy', records: [], reason: 'x' });
    expect(await harness.receive('orders')).toMatchObject({
      code: Code.TOO_MANY_REQUESTS,
      order: [['status']],
    });
  });
});

describe('AckMessage and ChangeInvisibleDuration', () => {
  async function held(harness: Harness, count = 1): Promise<string[]> {
    harness.broker.makeTopic('orders', 5);
    for (let i = 0; i < count; i += 1) await harness.sendOne('orders');
    const { messages } = await harness.receive('orders');
    return messages.map(({ systemProperties }) => systemProperties!.receiptHandle!);
  }
  const where = { group: { name: 'group' }, topic: { name: 'orders' } };
  const ack = (harness: Harness, handles: string[], more: object = {}) =>
    harness.ask(METHODS.ackMessage, {
      ...where,
      entries: handles.map((receiptHandle, i) => ({ messageId: `m${i}`, receiptHandle })),
      ...more,
    });

  it('acknowledges over several logs and answers in order', async () => {
    const harness = new Harness();
    const handles = await held(harness, 4);
    const { status, entries } = await ack(harness, handles);
    expect(status?.code).toBe(Code.OK);
    expect(entries.map(({ receiptHandle }) => receiptHandle)).toEqual(handles);
    expect(entries.map((entry) => entry.messageId)).toEqual(['m0', 'm1', 'm2', 'm3']);
    harness.broker.expire();
    expect((await harness.receive('orders')).messages).toEqual([]);
  });

  it('refuses forged, foreign and expired handles, each entry by itself', async () => {
    const harness = new Harness();
    const [mine, other] = await held(harness, 2);
    const forged = mine!.slice(0, -1) + (mine!.endsWith('A') ? 'B' : 'A');
    const { status, entries } = await ack(harness, [mine!, forged, 'nonsense', '']);
    expect(status?.code).toBe(Code.MULTIPLE_RESULTS);
    expect(entries.map((entry) => entry.status?.code)).toEqual([
      Code.OK,
      Code.INVALID_RECEIPT_HANDLE,
      Code.INVALID_RECEIPT_HANDLE,
      Code.INVALID_RECEIPT_HANDLE,
    ]);
    const invalid = async (more: object) => (await ack(harness, [other!], more)).status?.code;
    expect(await invalid({ group: { name: 'other' } })).toBe(Code.INVALID_RECEIPT_HANDLE);
    harness.broker.makeTopic('elsewhere', 1);
    expect(await invalid({ topic: { name: 'elsewhere' } })).toBe(Code.INVALID_RECEIPT_HANDLE);
    harness.broker.expire();
    await harness.receive('orders');
    expect(await invalid({})).toBe(Code.INVALID_RECEIPT_HANDLE);
  });

  it('refuses a request that names nothing, or what is not there', async () => {
    const harness = new Harness();
    const handles = await held(harness);
    expect((await ack(harness, [])).status?.code).toBe(Code.BAD_REQUEST);
    const code = async (more: object) => (await ack(harness, handles, more)).status?.code;
    expect(await code({ topic: { name: 'x' } })).toBe(Code.TOPIC_NOT_FOUND);
    expect(await code({ topic: undefined })).toBe(Code.ILLEGAL_TOPIC);
    expect(await code({ group: undefined })).toBe(Code.ILLEGAL_CONSUMER_GROUP);
    const lite = { entries: [{ receiptHandle: handles[0]!, liteTopic: 'x' }] };
    expect(await code(lite)).toBe(Code.NOT_IMPLEMENTED);
  });

  it("tells the broker's trouble by entry", async () => {
    const harness = new Harness();
    const handles = await held(harness, 2);
    harness.broker.trouble = (ask) =>
      ask.kind === 'acknowledge'
        ? { kind: 'acknowledge', results: ask.leases.map(() => 'unavailable' as const) }
        : undefined;
    const { status } = await ack(harness, handles);
    expect(status?.code).toBe(Code.HA_NOT_AVAILABLE);
  });

  it('a changed duration gives a handle that works in place of the old one', async () => {
    const harness = new Harness();
    const [old] = await held(harness);
    const change = (receiptHandle: string, seconds: number, more: object = {}) =>
      harness.ask(METHODS.changeInvisibleDuration, {
        ...where,
        receiptHandle,
        invisibleDuration: { seconds },
        ...more,
      });
    const changed = await change(old!, 60);
    expect(changed.status?.code).toBe(Code.OK);
    expect(harness.broker.asked.at(-1)).toMatchObject({ kind: 'extend', leaseMs: 60_000 });
    expect((await change(old!, 60)).status?.code).toBe(Code.INVALID_RECEIPT_HANDLE);
    expect((await ack(harness, [old!])).status?.code).toBe(Code.INVALID_RECEIPT_HANDLE);
    expect((await ack(harness, [changed.receiptHandle])).status?.code).toBe(Code.OK);
    const refusals: [number, string, object][] = [
      [Code.INVALID_RECEIPT_HANDLE, 'nonsense', {}],
      [Code.ILLEGAL_INVISIBLE_TIME, old!, { invisibleDuration: { seconds: -1 } }],
      [Code.ILLEGAL_INVISIBLE_TIME, old!, { invisibleDuration: { seconds: 43_201 } }],
      [Code.ILLEGAL_INVISIBLE_TIME, old!, { invisibleDuration: undefined }],
      [Code.NOT_IMPLEMENTED, old!, { suspend: true }],
      [Code.NOT_IMPLEMENTED, old!, { liteTopic: 'x' }],
      [Code.TOPIC_NOT_FOUND, old!, { topic: { name: 'x' } }],
    ];
    for (const [code, handle, more] of refusals) {
      const refused = await change(handle, 60, more);
      expect(refused).toMatchObject({ status: { code }, receiptHandle: '' });
    }
  });

  it('a duration of nothing gives the message back at once', async () => {
    const harness = new Harness();
    const [handle] = await held(harness);
    await harness.ask(METHODS.changeInvisibleDuration, {
      ...where,
      receiptHandle: handle!,
      invisibleDuration: {},
    });
    const { messages } = await harness.receive('orders');
    expect(messages[0]?.systemProperties?.deliveryAttempt).toBe(2);
  });

  it('a handle of another cluster is none of ours', async () => {
    const harness = new Harness();
    await held(harness);
    const lease = { logId: 1, offset: 0, epoch: 5, number: 1 };
    const foreign = receiptHandle(new Uint8Array(16), lease, 'group');
    expect((await ack(harness, [foreign])).status?.code).toBe(Code.INVALID_RECEIPT_HANDLE);
  });
});

describe('clients', () => {
  const settings = (type: number, more: object = {}) => ({
    settings: { clientType: type, requestTimeout: { seconds: 3 }, ...more },
  });
  const consumer = (name = 'group') =>
    settings(ClientType.SIMPLE_CONSUMER, { subscription: { group: { name } } });

  it('get their settings at once, and again whenever they ask', () => {
    const harness = new Harness();
    const call = harness.open(METHODS.telemetry);
    harness.say(call, METHODS.telemetry, {
      settings: {
        clientType: ClientType.PRODUCER,
        accessPoint: { scheme: 1, addresses: [{ host: '1.2.3.4', port: 5 }] },
        // Old clients send a blank topic; it is no reason to refuse them.
        publishing: { topics: [{ name: '' }] },
      },
    });
    const [answer] = harness.got(call, METHODS.telemetry);
    expect(answer?.settings).toMatchObject({
      clientType: ClientType.PRODUCER,
      accessPoint: { addresses: [{ host: '1.2.3.4', port: 5 }] },
      publishing: { topics: [{ name: '' }], maxBodySize: 4_194_304, validateMessageType: true },
      backoffPolicy: {
        maxAttempts: 3,
        exponentialBackoff: {
          initial: { seconds: 0, nanos: 10_000_000 },
          max: { seconds: 1, nanos: 0 },
          multiplier: 2,
        },
      },
      metric: { on: false },
    });
    harness.say(call, METHODS.telemetry, settings(ClientType.PRODUCER));
    expect(harness.got(call, METHODS.telemetry)).toHaveLength(2);
    expect(harness.answers.get(call)?.status).toBe(-1);
  });

  it('that consume hear what their group decides', () => {
    const harness = new Harness();
    const call = harness.start(METHODS.telemetry, consumer());
    const [answer] = harness.got(call, METHODS.telemetry);
    expect(answer?.settings).toMatchObject({
      backoffPolicy: {
        maxAttempts: 17,
        customizedBackoff: { next: [{ seconds: 1 }, { seconds: 5 }] },
      },
      subscription: {
        group: { name: 'group' },
        fifo: false,
        receiveBatchSize: 32,
        longPollingTimeout: { seconds: 20 },
      },
    });
  });

  it.each<[string, object, number]>([
    ['a push consumer', settings(ClientType.PUSH_CONSUMER), Code.NOT_IMPLEMENTED],
    ['a lite consumer', settings(ClientType.LITE_PUSH_CONSUMER), Code.NOT_IMPLEMENTED],
    ['no type', settings(0), Code.UNRECOGNIZED_CLIENT_TYPE],
    ['a type of the future', settings(99), Code.UNRECOGNIZED_CLIENT_TYPE],
    ['a consumer without a group', consumer(''), Code.ILLEGAL_CONSUMER_GROUP],
  ])('%s is told why not, where clients look for it', (_what, command, code) => {
    const harness = new Harness();
    const call = harness.start(METHODS.telemetry, command);
    const [answer] = harness.got(call, METHODS.telemetry);
    expect(answer).toMatchObject({ status: { code }, settings: undefined });
  });

  it('answer commands that nobody gave, and that is all right', () => {
    const harness = new Harness();
    const call = harness.open(METHODS.telemetry);
    harness.say(call, METHODS.telemetry, { threadStackTrace: { nonce: 'x' } });
    harness.say(call, METHODS.telemetry, { verifyMessageResult: { nonce: 'x' } });
    harness.say(call, METHODS.telemetry, {});
    expect(harness.got(call, METHODS.telemetry)).toEqual([]);
    expect(harness.answers.get(call)?.status).toBe(-1);
    harness.session.halfClosed(call);
    expect(harness.answers.get(call)?.status).toBe(0);
    expect(harness.session.counts.exchanges).toBe(0);
  });

  it('without an id cannot be told apart', async () => {
    const harness = new Harness();
    harness.clientId = '';
    const call = harness.start(METHODS.telemetry, settings(ClientType.PRODUCER));
    expect(harness.answers.get(call)).toMatchObject({ status: 3, messages: [] });
    const beat = await harness.ask(METHODS.heartbeat, { clientType: ClientType.PRODUCER });
    expect(beat.status?.code).toBe(Code.CLIENT_ID_REQUIRED);
    const bye = await harness.ask(METHODS.notifyClientTermination, {});
    expect(bye.status?.code).toBe(Code.CLIENT_ID_REQUIRED);
  });

  it('are known by a heartbeat alone, as after a restart of this node', async () => {
    const harness = new Harness();
    const code = async (request: object) =>
      (await harness.ask(METHODS.heartbeat, request)).status?.code;
    const group = { name: 'group' };
    expect(await code({ clientType: ClientType.PRODUCER })).toBe(Code.OK);
    expect(await code({ clientType: ClientType.SIMPLE_CONSUMER, group })).toBe(Code.OK);
    expect(harness.session.counts.clients).toBe(1);
    expect(await code({ clientType: ClientType.SIMPLE_CONSUMER })).toBe(
      Code.ILLEGAL_CONSUMER_GROUP,
    );
    expect(await code({ clientType: 0 })).toBe(Code.UNRECOGNIZED_CLIENT_TYPE);
    expect(await code({ clientType: ClientType.PUSH_CONSUMER, group })).toBe(Code.NOT_IMPLEMENTED);
  });

  const gone = { kind: 'client-gone', clientId: 'client-1', group: 'group' };

  it('are gone when they say so, and unknown then', async () => {
    const harness = new Harness();
    harness.start(METHODS.telemetry, consumer());
    const bye = await harness.ask(METHODS.notifyClientTermination, { group: { name: 'group' } });
    expect(bye.status?.code).toBe(Code.OK);
    expect(harness.broker.told).toEqual([gone]);
    expect(harness.session.counts.clients).toBe(0);
    await harness.ask(METHODS.notifyClientTermination, {});
    expect(harness.broker.told).toHaveLength(1);
  });

  it('are gone when their last stream is lost, and back when they are heard', async () => {
    const harness = new Harness();
    const first = harness.start(METHODS.telemetry, consumer());
    const second = harness.start(METHODS.telemetry, consumer());
    harness.session.cancelled(first);
    expect(harness.broker.told).toEqual([]);
    harness.session.cancelled(second);
    expect(harness.broker.told).toEqual([gone]);
    const third = harness.start(METHODS.telemetry, consumer());
    harness.session.cancelled(third);
    expect(harness.broker.told).toEqual([gone, gone]);
  });

  it('that are silent for two minutes are gone, and remembered for hours', async () => {
    const harness = new Harness();
    const group = { name: 'group' };
    const beat = () =>
      harness.ask(METHODS.heartbeat, { clientType: ClientType.SIMPLE_CONSUMER, group });
    const sweep = (afterMs: number) => {
      harness.now.monotonicMs += afterMs;
      harness.session.sweep(harness.now);
    };
    await beat();
    sweep(119_999);
    expect(harness.broker.told).toEqual([]);
    await beat();
    sweep(120_000);
    sweep(1000);
    expect(harness.broker.told).toEqual([gone]);
    expect(harness.session.counts.clients).toBe(1);
    sweep(6 * 3_600_000);
    expect(harness.session.counts.clients).toBe(0);
    harness.start(METHODS.telemetry, consumer());
    sweep(7 * 3_600_000);
    expect(harness.session.counts.clients).toBe(1);
    expect(harness.broker.told).toEqual([gone]);
  });

  it('beyond the bound make room, the longest silent first', async () => {
    const harness = new Harness({ clientsMax: 2 });
    for (const id of ['a', 'b', 'a', 'c']) {
      harness.clientId = id;
      await harness.ask(METHODS.heartbeat, { clientType: ClientType.PRODUCER });
    }
    expect(harness.session.counts.clients).toBe(2);
    expect(harness.broker.told).toEqual([{ kind: 'client-gone', clientId: 'b', group: '' }]);
  });
});

describe('what is not served', () => {
  it.each([METHODS.forwardMessageToDeadLetterQueue, METHODS.endTransaction, METHODS.recallMessage])(
    '$name says so in its status',
    async (method) => {
      const harness = new Harness();
      const { status } = await harness.ask(method, {});
      expect(status?.code).toBe(Code.NOT_IMPLEMENTED);
      expect(status?.message).toContain(method.name);
    },
  );
});

describe('any request', () => {
  const unary: Method[] = Object.values(METHODS).filter(({ kind }) => kind !== 'bidi');
  const EVERY_RESULT = ['ok', 'unavailable', 'timed-out', 'busy', 'refused'] as const;

  /** A broker that answers everything somehow. */
  function anyAnswer(ask: BrokerAsk, result: (typeof EVERY_RESULT)[number]): BrokerAnswer {
    const reason = 'somehow';
    switch (ask.kind) {
      case 'create':
        return { kind: 'create', result, reason };
      case 'append':
        return { kind: 'append', result, baseOffset: 0, reason };
      case 'receive':
        return { kind: 'receive', result, records: [], reason };
      case 'acknowledge':
        return { kind: 'acknowledge', results: ask.leases.map(() => result) };
      case 'extend':
        return { kind: 'extend', result, lease: ask.lease };
    }
  }

  it('of random bytes is answered once or fails once', async () => {
    const random = fc.asyncProperty(
      fc.constantFrom(...unary),
      fc.uint8Array({ maxLength: 200 }),
      async (method, bytes) => {
        const harness = new Harness();
        const call = harness.open(method);
        harness.session.message(call, bytes, harness.now);
        await harness.settle();
        const { status, messages } = harness.answers.get(call)!;
        if (status === 0) expect(messages.length).toBeGreaterThan(0);
        else expect({ status, messages }).toEqual({ status: 13, messages: [] });
        expect(harness.session.counts).toMatchObject({ exchanges: 0, asked: 0 });
      },
    );
    await fc.assert(random, { numRuns: 1000 });
  });

  it('of random content is answered, whatever the broker says', async () => {
    for (const method of unary) {
      const random = fc.asyncProperty(
        arbitraryOf(method.request),
        fc.constantFrom(...EVERY_RESULT),
        fc.boolean(),
        async (request, result, isNamed) => {
          const harness = new Harness();
          harness.broker.autoCreate = true;
          harness.broker.makeTopic('orders', 3, ['normal', 'fifo', 'delay']);
          harness.broker.trouble = (ask) => anyAnswer(ask, result);
          const names = { topic: { name: 'orders' }, group: { name: 'group' } };
          const call = harness.open(method);
          const content =
            isNamed && 'topic' in method.request.rows ? { ...request, ...names } : request;
          const bytes = encodeMessage(method.request, content as object);
          harness.session.message(call, bytes, harness.now);
          await harness.settle();
          expect(harness.answers.get(call)!.status).toBe(0);
          expect(harness.answers.get(call)!.messages.length).toBeGreaterThan(0);
          expect(harness.session.counts).toMatchObject({ exchanges: 0, asked: 0 });
        },
      );
      await fc.assert(random, { numRuns: 100 });
    }
  });

  it('that is malformed fails its call, and a stream with it', () => {
    const harness = new Harness();
    const call = harness.start(METHODS.telemetry, {});
    harness.session.message(call, Uint8Array.of(0x12, 0x7f), harness.now);
    expect(harness.answers.get(call)).toMatchObject({ status: 13, messages: [] });
    harness.session.message(call, new Uint8Array(0), harness.now);
    harness.session.cancelled(call);
    expect(harness.session.counts.exchanges).toBe(0);
  });
});
