// What RabbitMQ 3.10.8 was seen to say to the same mistakes, in the same scope, word for word.
import { describe, expect, it } from 'vitest';
import type { FieldTable, FieldValue } from '../../../../src/protocols/amqp/codec/index.ts';
import { AmqpWorld, type Client, lines } from '../fixture.ts';

type Step = (client: Client) => Client;

const declare =
  (queue: string, over: object = {}): Step =>
  (client) =>
    client.add(1, 'queue.declare', { queue, ...over });
const exchange =
  (name: string, over: object = {}): Step =>
  (client) =>
    client.add(1, 'exchange.declare', { exchange: name, type: 'direct', ...over });
const consume =
  (queue: string, over: object = {}): Step =>
  (client) =>
    client.add(1, 'basic.consume', { queue, consumerTag: '', ...over });
const publish =
  (exchangeName: string, properties: object = {}, bits = 0): Step =>
  (client) =>
    client.addPublish(1, exchangeName, 'k', 'body', properties, bits);
const bind =
  (queue: string, source: string, table: FieldTable = []): Step =>
  (client) =>
    client.add(1, 'queue.bind', { queue, exchange: source, routingKey: '', arguments: table });
const argument = (name: string, value: FieldValue): { arguments: FieldTable } => ({
  arguments: [{ name, value }],
});
const int = (value: number): FieldValue => ({ type: 'signedint', value });
const text = (value: string): FieldValue => ({ type: 'longstr', value });
const quorum =
  (queue: string, over: object = {}, more: FieldTable = []): Step =>
  (client) => {
    const type = { name: 'x-queue-type', value: text('quorum') };
    const table = { arguments: [type, ...more] };
    return client.add(1, 'queue.declare', { queue, durable: true, ...table, ...over });
  };
const inVhost = "in vhost '/'";

/** What is done first, what is done then, and the close that answers it: `channel`, code, text, class, method. */
const CASES: readonly (readonly [string, readonly Step[], Step, string])[] = [
  // Missing things.
  [
    'passive declare',
    [],
    declare('q', { passive: true }),
    `1 404 NOT_FOUND - no queue 'q' ${inVhost} 50 10`,
  ],
  ['consume', [], consume('q'), `1 404 NOT_FOUND - no queue 'q' ${inVhost} 60 20`],
  [
    'get',
    [],
    (c) => c.add(1, 'basic.get', { queue: 'q' }),
    `1 404 NOT_FOUND - no queue 'q' ${inVhost} 60 70`,
  ],
  [
    'purge',
    [],
    (c) => c.add(1, 'queue.purge', { queue: 'q' }),
    `1 404 NOT_FOUND - no queue 'q' ${inVhost} 50 30`,
  ],
  [
    'bind of a queue',
    [],
    bind('q', 'amq.direct'),
    `1 404 NOT_FOUND - no queue 'q' ${inVhost} 50 20`,
  ],
  [
    'bind to an exchange',
    [declare('q')],
    bind('q', 'x'),
    `1 404 NOT_FOUND - no exchange 'x' ${inVhost} 50 20`,
  ],
  ['publish', [], publish('x'), `1 404 NOT_FOUND - no exchange 'x' ${inVhost} 60 40`],
  [
    'passive exchange',
    [],
    exchange('x', { passive: true }),
    `1 404 NOT_FOUND - no exchange 'x' ${inVhost} 40 10`,
  ],
  [
    'exchange.bind',
    [],
    (c) => c.add(1, 'exchange.bind', { destination: 'x', source: 'amq.direct', routingKey: '' }),
    `1 404 NOT_FOUND - no exchange 'x' ${inVhost} 40 30`,
  ],
  ['no queue before', [], consume(''), '1 404 NOT_FOUND - no previously declared queue 60 20'],
  [
    'no queue to bind',
    [],
    bind('', 'amq.direct'),
    '1 404 NOT_FOUND - no previously declared queue 50 20',
  ],

  // Declarations that differ.
  [
    'durable',
    [declare('q', { durable: true })],
    declare('q'),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' ${inVhost}: received 'false' but current is 'true' 50 10`,
  ],
  [
    'auto_delete',
    [declare('q')],
    declare('q', { autoDelete: true }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q' ${inVhost}: received 'true' but current is 'false' 50 10`,
  ],
  [
    'durability',
    [declare('q', { durable: true, ...argument('x-durability', text('async')) })],
    declare('q', { durable: true, ...argument('x-durability', text('replicated')) }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-durability' for queue 'q' ${inVhost}: received 'replicated' but current is 'async' 50 10`,
  ],
  [
    'durability, not named again',
    [declare('q', { durable: true, ...argument('x-durability', text('async')) })],
    declare('q', { durable: true }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-durability' for queue 'q' ${inVhost}: received none but current is the value 'async' of type 'longstr' 50 10`,
  ],
  [
    'type',
    [exchange('x')],
    exchange('x', { type: 'fanout' }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' ${inVhost}: received 'fanout' but current is 'direct' 40 10`,
  ],
  [
    'internal',
    [exchange('x')],
    exchange('x', { internal: true }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'x' ${inVhost}: received 'true' but current is 'false' 40 10`,
  ],
  [
    'alternate exchange',
    [exchange('x')],
    exchange('x', argument('alternate-exchange', text('y'))),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' ${inVhost}: received the value 'y' of type 'longstr' but current is none 40 10`,
  ],

  // Arguments.
  ...(
    [
      ['x-message-ttl', int(-1), '{value_negative,-1}'],
      ['x-message-ttl', text('1'), '"expected integer, got longstr"'],
      ['x-message-ttl', int(1000), 'it is not honoured by this version'],
      ['x-expires', int(0), '{value_zero,0}'],
      ['x-max-length', int(10), 'it is not honoured by this version'],
      ['x-overflow', text('drop'), 'invalid_overflow'],
      ['x-max-priority', int(256), '{max_value_exceeded,256}'],
      [
        'x-single-active-consumer',
        { type: 'bool', value: true },
        'it is not honoured by this version',
      ],
      ['x-queue-type', text('foo'), `"unsupported queue type 'foo'"`],
      ['x-dead-letter-routing-key', text('k'), 'routing_key_but_no_dlx_defined'],
      ['x-dead-letter-exchange', text('x'), 'it is not honoured by this version'],
      ['x-max-age', text('1D'), 'it is not honoured by this version'],
      ['x-max-age', text('1w'), 'invalid_max_age'],
      ['x-durability', text('disk'), `"unsupported queue durability 'disk'"`],
      ['x-durability', int(1), '{unacceptable_type,signedint}'],
    ] as const
  ).map(
    ([name, value, reason]) =>
      [
        `${name} ${JSON.stringify(value)}`,
        [],
        declare('q', argument(name, value)),
        `1 406 PRECONDITION_FAILED - invalid arg '${name}' for queue 'q' ${inVhost}: ${reason} 50 10`,
      ] as const,
  ),
  ...(
    [
      ['x-message-ttl', int(1000), ': it is not honoured by this version'],
      ['x-dead-letter-exchange', text('x'), ': it is not honoured by this version'],
      ['x-delivery-limit', text('1'), ': "expected integer, got longstr"'],
      ['x-quorum-initial-group-size', int(0), ': {value_zero,0}'],
      ['x-durability', text('async'), `: "unsupported queue durability 'async'"`],
      ['x-max-priority', int(3), ' of queue type rabbit_quorum_queue'],
      ['x-queue-mode', text('lazy'), ' of queue type rabbit_quorum_queue'],
      ['x-max-age', text('1D'), ' of queue type rabbit_quorum_queue'],
    ] as const
  ).map(
    ([name, value, reason]) =>
      [
        `${name} ${JSON.stringify(value)} of a quorum queue`,
        [],
        quorum('q', {}, [{ name, value }]),
        `1 406 PRECONDITION_FAILED - invalid arg '${name}' for queue 'q' ${inVhost}${reason} 50 10`,
      ] as const,
  ),
  ...(
    [
      ['non-durable', { durable: false }],
      ['exclusive-owner', { exclusive: true }],
      ['auto-delete', { autoDelete: true }],
    ] as const
  ).map(
    ([property, over]) =>
      [
        `quorum queue, ${property}`,
        [],
        quorum('q', over),
        `1 406 PRECONDITION_FAILED - invalid property '${property}' for queue 'q' ${inVhost} 50 10`,
      ] as const,
  ),
  [
    'quorum queue without a name',
    [],
    quorum(''),
    '1 406 PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue 50 10',
  ],
  [
    'quorum queue where a classic one is',
    [declare('q', { durable: true })],
    quorum('q'),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' ${inVhost}: received the value 'quorum' of type 'longstr' but current is none 50 10`,
  ],
  [
    'classic queue where a quorum one is',
    [quorum('q')],
    declare('q', { durable: true, ...argument('x-queue-type', text('classic')) }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' ${inVhost}: received 'classic' but current is 'quorum' 50 10`,
  ],
  [
    'quorum queue with another delivery limit',
    [quorum('q', {}, [{ name: 'x-delivery-limit', value: int(3) }])],
    quorum('q', {}, [{ name: 'x-delivery-limit', value: { type: 'short', value: 4 } }]),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'q' ${inVhost}: received '4' but current is '3' 50 10`,
  ],
  [
    'stream where a quorum queue is',
    [quorum('q')],
    declare('q', { durable: true, ...argument('x-queue-type', text('stream')) }),
    `1 406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' ${inVhost}: received 'stream' but current is 'quorum' 50 10`,
  ],
  [
    'argument of a quorum queue',
    [],
    declare('q', argument('x-delivery-limit', int(3))),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'q' ${inVhost} of queue type rabbit_classic_queue 50 10`,
  ],
  [
    'consumer of a quorum queue with an argument of others',
    [quorum('q')],
    consume('q', argument('x-cancel-on-ha-failover', { type: 'bool', value: false })),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-cancel-on-ha-failover' for queue 'q' ${inVhost} of queue type rabbit_quorum_queue 60 20`,
  ],
  ...(['if-unused', 'if-empty'] as const).map(
    (flag) =>
      [
        `delete of a quorum queue, ${flag}`,
        [quorum('q')],
        (c: Client) =>
          c.add(1, 'queue.delete', {
            queue: 'q',
            ifUnused: flag === 'if-unused',
            ifEmpty: flag === 'if-empty',
          }),
        `0 540 NOT_IMPLEMENTED - cannot delete queue 'q' ${inVhost}. queue.delete operations with ${flag} flag set are not supported by quorum queues 50 40`,
      ] as const,
  ),
  [
    'shared prefetch on a quorum queue',
    [
      quorum('q'),
      (c) => c.add(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 5, global: true }),
    ],
    consume('q'),
    `0 540 NOT_IMPLEMENTED - queue 'q' ${inVhost} does not support global qos 60 20`,
  ],
  [
    'dead letter exchange of another type',
    [],
    declare('q', argument('x-dead-letter-exchange', { type: 'byte', value: 1 })),
    `1 406 PRECONDITION_FAILED - invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'q' ${inVhost} 50 10`,
  ],
  [
    'alternate exchange of another type',
    [],
    exchange('x', argument('alternate-exchange', int(1))),
    `1 406 PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' ${inVhost} 40 10`,
  ],
  [
    'priority of a consumer',
    [declare('q')],
    consume('q', argument('x-priority', text('high'))),
    `1 406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' ${inVhost}: "expected integer, got longstr" 60 20`,
  ],
  [
    'x-match',
    [declare('q')],
    bind('q', 'amq.headers', [{ name: 'x-match', value: text('foo') }]),
    '1 406 PRECONDITION_FAILED - Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x 50 20',
  ],
  [
    'exchange type',
    [],
    exchange('x', { type: 'odd' }),
    "1 406 PRECONDITION_FAILED - unknown exchange type 'odd' 40 10",
  ],

  // Names that are taken.
  [
    'reserved queue',
    [],
    declare('amq.foo'),
    "1 403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*' 50 10",
  ],
  [
    'reserved exchange',
    [],
    exchange('amq.foo'),
    "1 403 ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*' 40 10",
  ],
  [
    'default exchange',
    [],
    exchange(''),
    '1 403 ACCESS_REFUSED - operation not permitted on the default exchange 40 10',
  ],
  [
    'bind to the default exchange',
    [declare('q')],
    bind('q', ''),
    '1 403 ACCESS_REFUSED - operation not permitted on the default exchange 50 20',
  ],
  [
    'delete of the default exchange',
    [],
    (c) => c.add(1, 'exchange.delete', { exchange: '' }),
    '1 403 ACCESS_REFUSED - operation not permitted on the default exchange 40 20',
  ],
  [
    'delete of a system exchange',
    [],
    (c) => c.add(1, 'exchange.delete', { exchange: 'amq.direct' }),
    `1 403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' ${inVhost} not allowed 40 20`,
  ],
  [
    'publish to an internal exchange',
    [exchange('x', { internal: true })],
    publish('x'),
    `1 403 ACCESS_REFUSED - cannot publish to internal exchange 'x' ${inVhost} 60 40`,
  ],

  // In use.
  [
    'exclusive consumer second',
    [declare('q'), consume('q')],
    consume('q', { exclusive: true }),
    `1 403 ACCESS_REFUSED - queue 'q' ${inVhost} in exclusive use 60 20`,
  ],
  [
    'exclusive consumer first',
    [declare('q'), consume('q', { exclusive: true })],
    consume('q'),
    `1 403 ACCESS_REFUSED - queue 'q' ${inVhost} in exclusive use 60 20`,
  ],
  [
    'delete of a queue with consumers',
    [declare('q'), consume('q')],
    (c) => c.add(1, 'queue.delete', { queue: 'q', ifUnused: true }),
    `1 406 PRECONDITION_FAILED - queue 'q' ${inVhost} in use 50 40`,
  ],
  [
    'delete of a queue with messages',
    [declare('q'), (c) => c.addPublish(1, '', 'q', 'm')],
    (c) => c.add(1, 'queue.delete', { queue: 'q', ifEmpty: true }),
    `1 406 PRECONDITION_FAILED - queue 'q' ${inVhost} not empty 50 40`,
  ],
  [
    'delete of an exchange with bindings',
    [declare('q'), exchange('x'), bind('q', 'x')],
    (c) => c.add(1, 'exchange.delete', { exchange: 'x', ifUnused: true }),
    `1 406 PRECONDITION_FAILED - exchange 'x' ${inVhost} in use 40 20`,
  ],

  // Messages.
  [
    'ack',
    [],
    (c) => c.add(1, 'basic.ack', { deliveryTag: 99 }),
    '1 406 PRECONDITION_FAILED - unknown delivery tag 99 60 80',
  ],
  [
    'ack of nothing',
    [],
    (c) => c.add(1, 'basic.ack', { deliveryTag: 0 }),
    '1 406 PRECONDITION_FAILED - unknown delivery tag 0 60 80',
  ],
  [
    'nack',
    [],
    (c) => c.add(1, 'basic.nack', { deliveryTag: 7, multiple: true }),
    '1 406 PRECONDITION_FAILED - unknown delivery tag 7 60 120',
  ],
  [
    'reject',
    [],
    (c) => c.add(1, 'basic.reject', { deliveryTag: 1 }),
    '1 406 PRECONDITION_FAILED - unknown delivery tag 1 60 90',
  ],
  [
    'expiration',
    [],
    publish('', { expiration: 'abc' }),
    "1 406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer 60 40",
  ],
  [
    'expiration with more behind',
    [],
    publish('', { expiration: '10ms' }),
    `1 406 PRECONDITION_FAILED - invalid expiration '10ms': {leftover_string,"ms"} 60 40`,
  ],
  [
    'negative expiration',
    [],
    publish('', { expiration: '-1' }),
    "1 406 PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1} 60 40",
  ],
  [
    'good expiration',
    [],
    publish('', { expiration: '10' }),
    "1 406 PRECONDITION_FAILED - invalid expiration '10': messages do not expire in this version 60 40",
  ],
  [
    'user id',
    [],
    publish('', { userId: 'bob' }),
    "1 406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest' 60 40",
  ],
  [
    'CC',
    [],
    publish('', { headers: [{ name: 'CC', value: text('k') }] }),
    '1 406 PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr} 60 40',
  ],
  [
    'BCC',
    [],
    publish('', { headers: [{ name: 'BCC', value: int(1) }] }),
    '1 406 PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"BCC",signedint} 60 40',
  ],
  [
    'direct reply-to',
    [],
    publish('', { replyTo: 'amq.rabbitmq.reply-to' }),
    '1 406 PRECONDITION_FAILED - fast reply consumer does not exist 60 40',
  ],

  // What ends the connection.
  ['immediate', [], publish('', {}, 2), '0 540 NOT_IMPLEMENTED - immediate=true 60 40'],
  [
    'prefetch size',
    [],
    (c) => c.add(1, 'basic.qos', { prefetchSize: 5, prefetchCount: 1 }),
    '0 540 NOT_IMPLEMENTED - prefetch_size!=0 (5) 60 10',
  ],
  [
    'flow',
    [],
    (c) => c.add(1, 'channel.flow', { active: false }),
    '0 540 NOT_IMPLEMENTED - active=false 20 20',
  ],
  [
    'recover',
    [],
    (c) => c.add(1, 'basic.recover', { requeue: false }),
    '0 540 NOT_IMPLEMENTED - requeue=false 60 110',
  ],
  [
    'recover-async',
    [],
    (c) => c.add(1, 'basic.recover-async', { requeue: false }),
    '0 540 NOT_IMPLEMENTED - requeue=false 60 100',
  ],
  [
    'no-local',
    [declare('q')],
    consume('q', { noLocal: true }),
    '0 540 NOT_IMPLEMENTED - no_local=true 60 20',
  ],
  ['tx', [], (c) => c.add(1, 'tx.select', {}), '0 540 NOT_IMPLEMENTED - transactions 90 10'],
  [
    'a tag twice',
    [declare('q'), consume('q', { consumerTag: 't' })],
    consume('q', { consumerTag: 't' }),
    "0 530 NOT_ALLOWED - attempt to reuse consumer tag 't' 60 20",
  ],
  [
    'a channel that is not open',
    [],
    (c) => c.add(7, 'basic.qos', { prefetchSize: 0, prefetchCount: 0 }),
    "0 504 CHANNEL_ERROR - expected 'channel.open' 60 10",
  ],
  [
    'a channel twice',
    [],
    (c) => c.add(1, 'channel.open', {}),
    "0 504 CHANNEL_ERROR - second 'channel.open' seen 20 10",
  ],
];

function closes(entries: Awaited<ReturnType<Client['said']>>): string[] {
  return entries.flatMap((entry) => {
    if (entry.op !== 'method') return [];
    const { name, args } = entry.method;
    if (name !== 'channel.close' && name !== 'connection.close') return [];
    const { replyCode, replyText, classId, methodId } = args;
    return [`${entry.channel} ${replyCode} ${replyText} ${classId} ${methodId}`];
  });
}

describe('a mistake', () => {
  it.each(CASES)('%s', async (_name, before, step, expected) => {
    const client = await new AmqpWorld().connect();
    for (const each of before) expect(closes(await each(client).send())).toEqual([]);
    expect(closes(await step(client).send())).toEqual([expected]);
  });

  it('too many channels are counted, whatever their numbers', async () => {
    const client = new AmqpWorld().dial();
    await client.handshake({ channelMax: 1 });
    expect(lines(await client.call(2048, 'channel.open', {}))).toEqual(['2048 channel.open-ok']);
    expect(closes(await client.call(1, 'channel.open', {}))).toEqual([
      '0 530 NOT_ALLOWED - number of channels opened (1) has reached the negotiated channel_max (1) 20 10',
    ]);
  });

  it("another connection's exclusive queue", async () => {
    const world = new AmqpWorld();
    const owner = await world.connect();
    await declare('mine', { exclusive: true })(owner).send();
    const steps: readonly (readonly [Step, string])[] = [
      [declare('mine'), '50 10'],
      [declare('mine', { exclusive: true }), '50 10'],
      [declare('mine', { passive: true }), '50 10'],
      [consume('mine'), '60 20'],
      [bind('mine', 'amq.direct'), '50 20'],
      [(c) => c.add(1, 'queue.purge', { queue: 'mine' }), '50 30'],
      [(c) => c.add(1, 'queue.delete', { queue: 'mine' }), '50 40'],
      [(c) => c.add(1, 'basic.get', { queue: 'mine' }), '60 70'],
    ];
    for (const [step, ids] of steps) {
      const client = await world.connect();
      expect(closes(await step(client).send())).toEqual([
        `1 405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' ${inVhost}. It could be ` +
          'originally declared on another connection or the exclusive property value does not match that of the ' +
          `original declaration. ${ids}`,
      ]);
    }
    expect(closes(await declare('mine', { exclusive: true })(owner).send())).toEqual([]);
  });

  it('no metadata can be changed now', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    world.metadataAnswer = {
      kind: 'unavailable',
      index: 0,
      code: '',
      message: 'no leader',
      difference: undefined,
    };
    expect(closes(await declare('q')(client).send())).toEqual([
      '0 541 INTERNAL_ERROR - the metadata of the cluster cannot be changed now: no leader 50 10',
    ]);
  });

  it('nobody leads the queue', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    await declare('q')(client).send();
    world.queues.statsResult = 'timed-out';
    expect(closes(await declare('q')(client).send())).toEqual([
      `1 404 NOT_FOUND - home node 'node-1' of durable queue 'q' ${inVhost} is down or inaccessible 50 10`,
    ]);
  });
});

describe('what is no mistake', () => {
  it.each([
    [
      'delete of a missing queue',
      (c: Client) => c.add(1, 'queue.delete', { queue: 'no' }),
      '1 queue.delete-ok 0',
    ],
    [
      'delete of a missing exchange',
      (c: Client) => c.add(1, 'exchange.delete', { exchange: 'no' }),
      '1 exchange.delete-ok',
    ],
    [
      'unbind of a missing binding',
      (c: Client) =>
        c.add(1, 'queue.unbind', { queue: 'no', exchange: 'amq.direct', routingKey: '' }),
      '1 queue.unbind-ok',
    ],
    [
      'cancel of an unknown tag',
      (c: Client) => c.add(1, 'basic.cancel', { consumerTag: 't' }),
      "1 basic.cancel-ok 't'",
    ],
    ['an unknown argument', declare('q', argument('x-own', int(1))), "1 queue.declare-ok 'q' 0 0"],
    [
      'a classic queue',
      declare('q', argument('x-queue-type', text('classic'))),
      "1 queue.declare-ok 'q' 0 0",
    ],
    [
      'a lazy queue',
      declare('q', argument('x-queue-mode', text('lazy'))),
      "1 queue.declare-ok 'q' 0 0",
    ],
    ['a name with line ends', declare('q\r\n'), "1 queue.declare-ok 'q' 0 0"],
    [
      'a system exchange declared as it is',
      exchange('amq.direct', { durable: true }),
      '1 exchange.declare-ok',
    ],
    [
      'access',
      (c: Client) => c.add(1, 'access.request', { realm: '/data' }),
      '1 access.request-ok 1',
    ],
    [
      'flow that flows',
      (c: Client) => c.add(1, 'channel.flow', { active: true }),
      '1 channel.flow-ok true',
    ],
  ])('%s', async (_name, step, expected) => {
    const client = await new AmqpWorld().connect();
    expect(lines(await step(client).send())).toEqual([expected]);
  });

  it('everything acknowledged where nothing is out', async () => {
    const client = await new AmqpWorld().connect();
    client.add(1, 'basic.ack', { deliveryTag: 0, multiple: true });
    expect(await client.call(1, 'basic.nack', { deliveryTag: 0, multiple: true })).toEqual([]);
  });
});
