// Streams as sessions see them: declared, consumed, refused in RabbitMQ's words, over a stream in memory.
import { describe, expect, it } from 'vitest';
import { encodeCommand } from '../../../../src/cluster/metadata/index.ts';
import type {
  FieldTable,
  FieldValue,
  MethodInput,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { creation } from '../../../cluster/metadata/world.ts';
import { AmqpWorld, CAPABLE, type Client, lines, type Said } from '../fixture.ts';

const text = (value: string): FieldValue => ({ type: 'longstr', value });
const int = (value: number): FieldValue => ({ type: 'signedint', value });
const table = (fields: Record<string, FieldValue>): FieldTable =>
  Object.entries(fields).map(([name, value]) => ({ name, value }));

function declare(
  client: Client,
  fields: Record<string, FieldValue> = {},
  over: Partial<MethodInput<'queue.declare'>> = {},
): Client {
  const args = table({ 'x-queue-type': text('stream'), ...fields });
  return client.add(1, 'queue.declare', { queue: 's', durable: true, arguments: args, ...over });
}

const qos = (client: Client, prefetchCount: number, global = false): Client =>
  client.add(1, 'basic.qos', { prefetchSize: 0, prefetchCount, global });

function consume(
  client: Client,
  fields: Record<string, FieldValue> = {},
  over: Partial<MethodInput<'basic.consume'>> = {},
): Client {
  const args = { queue: 's', consumerTag: 't', arguments: table(fields), ...over };
  return client.add(1, 'basic.consume', args);
}

/** `tag number offset body`. */
function deliveries(said: readonly Said[]): string[] {
  return said.flatMap((entry) => {
    if (entry.op !== 'content' || entry.method?.name !== 'basic.deliver') return [];
    const { consumerTag, deliveryTag, redelivered } = entry.method.args;
    expect(redelivered).toBe(false);
    const offset = entry.properties.headers?.find(({ name }) => name === 'x-stream-offset')?.value;
    expect(offset?.type).toBe('long');
    return [`${consumerTag} ${deliveryTag} ${(offset as { value: number }).value} ${entry.body}`];
  });
}

/** The close that answers: `channel code text`. */
function closes(said: readonly Said[]): string[] {
  return said.flatMap((entry) => {
    if (entry.op !== 'method') return [];
    const { name, args } = entry.method;
    const isClose = name === 'channel.close' || name === 'connection.close';
    return isClose ? [`${entry.channel} ${args.replyCode} ${args.replyText}`] : [];
  });
}

async function withStream(...bodies: string[]): Promise<[AmqpWorld, Client]> {
  const world = new AmqpWorld();
  const client = await world.connect();
  declare(client);
  for (const body of bodies) client.addPublish(1, '', 's', body);
  expect(closes(await client.send())).toEqual([]);
  return [world, client];
}

describe('a stream', () => {
  it('is declared, again and passively, and says how much is in it', async () => {
    const [world, client] = await withStream('a', 'b');
    expect(lines(await declare(client).send())).toEqual(["1 queue.declare-ok 's' 2 0"]);
    const passive = { queue: 's', passive: true };
    expect(lines(await client.call(1, 'queue.declare', passive))).toEqual([
      "1 queue.declare-ok 's' 2 0",
    ]);
    const { logs, queue } = world.replica.view.destination('s')!;
    expect([logs.length, logs[0]?.kind, queue]).toEqual([1, 'partition', undefined]);
  });

  it('has as many logs and replicas as it is asked to have', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    const fields = { 'x-partitions': int(4), 'x-initial-cluster-size': int(5), 'x-what': int(1) };
    expect(lines(await declare(client, fields).send())).toEqual(["1 queue.declare-ok 's' 0 0"]);
    const { logs } = world.replica.view.destination('s')!;
    // There is one node.
    expect(logs.map(({ replicas }) => replicas)).toEqual([[1], [1], [1], [1]]);
    expect(lines(await declare(client, fields).send())).toEqual(["1 queue.declare-ok 's' 0 0"]);
  });

  it('keeps what it is asked to keep, and is the same when it is declared so again', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    const fields = {
      'x-max-age': text('2h'),
      'x-max-length-bytes': int(5_000_000),
      'x-stream-max-segment-size-bytes': int(100_000),
    };
    for (let i = 0; i < 2; i += 1) {
      expect(lines(await declare(client, fields).send())).toEqual(["1 queue.declare-ok 's' 0 0"]);
    }
    expect(Object.fromEntries(world.replica.view.destination('s')!.config)).toEqual({
      'retention.ms': '7200000',
      'retention.bytes': '5000000',
      'segment.bytes': '100000',
    });
    // Whoever names no limit is content with those there are.
    expect(lines(await declare(client).send())).toEqual(["1 queue.declare-ok 's' 0 0"]);
    const hours = { 'x-max-age': text('120m') };
    expect(lines(await declare(client, hours).send())).toEqual(["1 queue.declare-ok 's' 0 0"]);
  });

  it('is as durable as it is asked to be', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    const fields = { 'x-durability': text('async') };
    for (let i = 0; i < 2; i += 1) {
      expect(lines(await declare(client, fields).send())).toEqual(["1 queue.declare-ok 's' 0 0"]);
    }
    const { config, logs } = world.replica.view.destination('s')!;
    expect(config.get('callboard.durability')).toBe('async');
    expect(logs.map(({ durability }) => durability)).toEqual(['async']);
  });

  it('keeps everything for ever unless it is told otherwise', async () => {
    const [world] = await withStream();
    expect([...world.replica.view.destination('s')!.config]).toEqual([['retention.ms', '-1']]);
  });

  it('of another protocol is one too', async () => {
    const world = new AmqpWorld();
    world.apply(encodeCommand(creation('s')));
    const client = await world.connect();
    expect(lines(await declare(client).send())).toEqual(["1 queue.declare-ok 's' 0 0"]);
    client.add(1, 'queue.bind', { queue: 's', exchange: 'amq.fanout', routingKey: '' });
    qos(client, 5);
    const said = lines(await consume(client).send());
    expect(said).toEqual(
      ['1 queue.bind-ok ', '1 basic.qos-ok ', "1 basic.consume-ok 't'"].map((line) =>
        line.trimEnd(),
      ),
    );
  });

  it('goes with all that is in it, and its consumers hear so', async () => {
    const [, client] = await withStream('a');
    qos(client, 5);
    await consume(client).send();
    expect(lines(await client.call(1, 'queue.delete', { queue: 's' }))).toEqual([
      "1 basic.cancel 't' true",
      '1 queue.delete-ok 0',
    ]);
    expect(lines(await client.call(1, 'queue.delete', { queue: 's' }))).toEqual([
      '1 queue.delete-ok 0',
    ]);
  });

  it('of the cluster itself is not there for clients', async () => {
    const world = new AmqpWorld();
    world.apply(encodeCommand(creation('own', { isInternal: true })));
    const client = await world.connect();
    expect(closes(await declare(client, {}, { queue: 'own' }).send())).toEqual([
      "1 406 PRECONDITION_FAILED - queue 'own' in vhost '/' is the cluster's own",
    ]);
  });

  it('that somebody else makes at the same time is there', async () => {
    const world = new AmqpWorld();
    const [one, other] = [await world.connect(), await world.connect()];
    world.holdsChanges = true;
    expect(lines(await declare(one).send())).toEqual([]);
    expect(lines(await declare(other).send())).toEqual([]);
    world.settleChanges();
    expect(lines(await one.said())).toEqual(["1 queue.declare-ok 's' 0 0"]);
    expect(lines(await other.said())).toEqual(["1 queue.declare-ok 's' 0 0"]);
  });
});

describe('a consumer of a stream', () => {
  it('gets everything from where it begins, as long as it has room', async () => {
    const [, client] = await withStream('a', 'b', 'c', 'd');
    qos(client, 2);
    const said = await consume(client, { 'x-stream-offset': text('first') }).send();
    expect(lines(said)[1]).toBe("1 basic.consume-ok 't'");
    expect(deliveries(said)).toEqual(['t 1 0 a', 't 2 1 b']);
    await client.call(1, 'basic.ack', { deliveryTag: 1 });
    // Whatever is said of a message: it makes room, and nothing comes again.
    client.add(1, 'basic.nack', { deliveryTag: 2, requeue: true });
    expect(deliveries(await client.send())).toEqual(['t 4 3 d']);
    client.add(1, 'basic.reject', { deliveryTag: 3, requeue: true });
    client.add(1, 'basic.recover', { requeue: true });
    for (const body of ['e', 'f', 'g']) client.addPublish(1, '', 's', body);
    expect(deliveries(await client.send())).toEqual(['t 5 4 e', 't 6 5 f']);
  });

  it('is one of many, each of which gets everything', async () => {
    const [, client] = await withStream('a', 'b');
    qos(client, 10);
    consume(client, { 'x-stream-offset': text('first') }, { consumerTag: 'x' });
    consume(client, { 'x-stream-offset': int(1) }, { consumerTag: 'y' });
    consume(client, {}, { consumerTag: 'z' });
    expect(deliveries(await client.send())).toEqual(['x 1 0 a', 'x 2 1 b', 'y 3 1 b']);
    client.addPublish(1, '', 's', 'c');
    expect(deliveries(await client.send())).toEqual(['x 4 2 c', 'y 5 2 c', 'z 6 2 c']);
    client.add(1, 'basic.cancel', { consumerTag: 'x' }).addPublish(1, '', 's', 'd');
    expect(deliveries(await client.send())).toEqual(['y 7 3 d', 'z 8 3 d']);
    // What the one that is gone had may be settled, and makes nobody room.
    expect(closes(await client.call(1, 'basic.ack', { deliveryTag: 8, multiple: true }))).toEqual(
      [],
    );
  });

  it('begins where its argument says', async () => {
    const [world, client] = await withStream();
    qos(client, 1);
    const starts: readonly (readonly [FieldValue, unknown])[] = [
      [text('first'), { kind: 'first' }],
      [text('last'), { kind: 'last' }],
      [text('next'), { kind: 'next' }],
      [int(7), { kind: 'offset', offset: 7 }],
      [
        { type: 'long', value: 2 ** 40 },
        { kind: 'offset', offset: 2 ** 40 },
      ],
      [
        { type: 'unsignedbyte', value: 0 },
        { kind: 'offset', offset: 0 },
      ],
      [
        { type: 'timestamp', value: 1_700_000_000 },
        { kind: 'time', timestampMs: 1_700_000_000_000 },
      ],
      [text('1h'), { kind: 'age', ageMs: 3_600_000 }],
      [text('30s'), { kind: 'age', ageMs: 30_000 }],
      [text('5m'), { kind: 'age', ageMs: 300_000 }],
      [text('7D'), { kind: 'age', ageMs: 604_800_000 }],
      [text('2M'), { kind: 'age', ageMs: 60 * 86_400_000 }],
      [text('1Y'), { kind: 'age', ageMs: 365 * 86_400_000 }],
    ];
    for (const [i, [value]] of starts.entries()) {
      consume(client, { 'x-stream-offset': value }, { consumerTag: `t${i}` });
    }
    consume(client);
    expect(closes(await client.send())).toEqual([]);
    expect(world.queues.starts).toEqual([...starts.map(([, start]) => start), { kind: 'next' }]);
  });

  it('that is gone hears nothing, and its channel is closed as if it were of a queue', async () => {
    const [world, client] = await withStream('a', 'b', 'c');
    qos(client, 2);
    await consume(client, { 'x-stream-offset': text('first') }).send();
    client.add(1, 'channel.close', { replyCode: 200, replyText: '', classId: 0, methodId: 0 });
    expect(lines(await client.send())).toEqual(['1 channel.close-ok']);
    expect(world.queues.queueOf('s').followers.size).toBe(0);
    expect(world.queues.queueOf('s').bodies()).toEqual(['a', 'b', 'c']);
  });

  it('that never hears of a leader is told so', async () => {
    const [world, client] = await withStream();
    world.queues.isMute = true;
    qos(client, 1);
    await consume(client).send();
    await world.pass(60_000);
    expect(closes(await client.said())).toEqual([
      "1 404 NOT_FOUND - home node 'node-1' of durable queue 's' in vhost '/' is down or inaccessible",
    ]);
  });
});

const queue = "queue 's' in vhost '/'";
type Step = (client: Client) => Client;
const alone: Step = (client) => client;
const limited: Step = (client) => declare(qos(client, 5));

/** What is done first, what is done then, and how that is refused. */
const REFUSALS: readonly (readonly [string, Step, Step, string])[] = [
  [
    'without a name',
    alone,
    (c) => declare(c, {}, { queue: '' }),
    '1 406 PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_stream_queue',
  ],
  [
    'that is transient',
    alone,
    (c) => declare(c, {}, { durable: false }),
    `1 406 PRECONDITION_FAILED - invalid property 'non-durable' for ${queue}`,
  ],
  [
    'that is exclusive',
    alone,
    (c) => declare(c, {}, { exclusive: true }),
    `1 406 PRECONDITION_FAILED - invalid property 'exclusive-owner' for ${queue}`,
  ],
  [
    'that is auto-delete',
    alone,
    (c) => declare(c, {}, { autoDelete: true }),
    `1 406 PRECONDITION_FAILED - invalid property 'auto-delete' for ${queue}`,
  ],
  [
    'with a reserved name',
    alone,
    (c) => declare(c, {}, { queue: 'amq.s' }),
    "1 403 ACCESS_REFUSED - queue name 'amq.s' contains reserved prefix 'amq.*'",
  ],
  [
    'with a name that is none',
    alone,
    (c) => declare(c, {}, { queue: '..' }),
    "1 406 PRECONDITION_FAILED - invalid name '..': a name has 1 to 255 printable bytes",
  ],
  [
    'with an age that is none',
    alone,
    (c) => declare(c, { 'x-max-age': text('7d') }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-max-age' for ${queue}: invalid_max_age`,
  ],
  [
    'with no age at all',
    alone,
    (c) => declare(c, { 'x-max-age': text('0D') }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-max-age' for ${queue}: invalid_max_age`,
  ],
  [
    'with a negative length',
    alone,
    (c) => declare(c, { 'x-max-length-bytes': int(-5) }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-max-length-bytes' for ${queue}: {value_negative,-5}`,
  ],
  [
    'in files that are too large',
    alone,
    (c) => declare(c, { 'x-stream-max-segment-size-bytes': int(1_073_741_825) }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-stream-max-segment-size-bytes' for ${queue}: {max_value_exceeded,1073741825}`,
  ],
  [
    'again, but with another age',
    (c) => declare(c, { 'x-max-age': text('7D') }),
    (c) => declare(c, { 'x-max-age': text('8D') }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-max-age' for ${queue}: received '8D' but current is '604800s'`,
  ],
  [
    'in a way that there is not',
    alone,
    (c) => declare(c, { 'x-durability': text('never') }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-durability' for ${queue}: "unsupported queue durability 'never'"`,
  ],
  [
    'again, but with another durability',
    (c) => declare(c),
    (c) => declare(c, { 'x-durability': text('async') }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-durability' for ${queue}: received 'async' but current is 'sync'`,
  ],
  [
    'again, but with a length',
    (c) => declare(c),
    (c) => declare(c, { 'x-max-length-bytes': int(100) }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-max-length-bytes' for ${queue}: received the value '100' of type 'signedint' but current is none`,
  ],
  [
    'with an argument of other queues',
    alone,
    (c) => declare(c, { 'x-message-ttl': int(5) }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-message-ttl' for ${queue} of queue type rabbit_stream_queue`,
  ],
  [
    'of no logs',
    alone,
    (c) => declare(c, { 'x-partitions': int(0) }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-partitions' for ${queue}: {value_zero,0}`,
  ],
  [
    'where a queue is',
    (c) => c.add(1, 'queue.declare', { queue: 's' }),
    (c) => declare(c),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for ${queue}: received 'stream' but current is 'classic'`,
  ],
  [
    'again as a queue',
    (c) => declare(c),
    (c) => c.add(1, 'queue.declare', { queue: 's', durable: true }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for ${queue}: received none but current is the value 'stream' of type 'longstr'`,
  ],
  [
    'again as a classic queue',
    (c) => declare(c),
    (c) =>
      c.add(1, 'queue.declare', {
        queue: 's',
        durable: true,
        arguments: table({ 'x-queue-type': text('classic') }),
      }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for ${queue}: received 'classic' but current is 'stream'`,
  ],
  [
    'again, but transient',
    (c) => declare(c),
    (c) => declare(c, {}, { durable: false }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'durable' for ${queue}: received 'false' but current is 'true'`,
  ],
  [
    'again, but auto-delete',
    (c) => declare(c),
    (c) => declare(c, {}, { autoDelete: true }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'auto_delete' for ${queue}: received 'true' but current is 'false'`,
  ],
  [
    'again, but of other logs',
    (c) => declare(c),
    (c) => declare(c, { 'x-partitions': int(2) }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-partitions' for ${queue}: received '2' but current is '1'`,
  ],
  [
    'to be purged',
    (c) => declare(c),
    (c) => c.add(1, 'queue.purge', { queue: 's' }),
    `0 540 NOT_IMPLEMENTED - queue.purge not supported by stream queues ${queue}`,
  ],
  [
    'to be deleted if it is empty',
    (c) => declare(c),
    (c) => c.add(1, 'queue.delete', { queue: 's', ifEmpty: true }),
    `0 540 NOT_IMPLEMENTED - cannot delete ${queue}. queue.delete operations with if-empty flag set are not supported by stream queues`,
  ],
  [
    'by basic.get',
    (c) => declare(c),
    (c) => c.add(1, 'basic.get', { queue: 's' }),
    `0 540 NOT_IMPLEMENTED - basic.get not supported by stream queues ${queue}`,
  ],
  [
    'without a prefetch',
    (c) => declare(c),
    (c) => consume(c),
    `1 406 PRECONDITION_FAILED - consumer prefetch count is not set for '${queue}'`,
  ],
  [
    'without acknowledgements',
    limited,
    (c) => consume(c, {}, { noAck: true }),
    `0 540 NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues ${queue}`,
  ],
  [
    'under a limit of the channel',
    (c) => limited(qos(c, 9, true)),
    (c) => consume(c),
    `0 540 NOT_IMPLEMENTED - ${queue} does not support global qos`,
  ],
  [
    'alone',
    limited,
    (c) => consume(c, {}, { exclusive: true }),
    `1 406 PRECONDITION_FAILED - ${queue} is a stream, which is never consumed by one alone`,
  ],
  [
    'from a number as text',
    limited,
    (c) => consume(c, { 'x-stream-offset': text('3') }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-stream-offset' for ${queue}: {invalid_stream_offset_arg,{longstr,<<"3">>}}`,
  ],
  [
    'from a negative number',
    limited,
    (c) => consume(c, { 'x-stream-offset': int(-1) }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-stream-offset' for ${queue}: {invalid_stream_offset_arg,{signedint,-1}}`,
  ],
  [
    'by a filter',
    limited,
    (c) => consume(c, { 'x-stream-filter': text('x') }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-stream-filter' for ${queue}: it is not honoured by this version`,
  ],
  [
    'with a priority',
    limited,
    (c) => consume(c, { 'x-priority': int(1) }),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-priority' for ${queue} of queue type rabbit_stream_queue`,
  ],
];

describe('a stream is refused', () => {
  it.each(REFUSALS)('%s', async (_name, before, step, expected) => {
    const client = await new AmqpWorld().connect(1, CAPABLE);
    expect(closes(await before(client).send())).toEqual([]);
    expect(closes(await step(client).send())).toEqual([expected]);
  });
});
