// The texts that RabbitMQ 3.10.8 was seen to send, word for word.
import { describe, expect, it } from 'vitest';
import {
  AmqpError,
  argumentFaults,
  type FieldValue,
  METHOD_CODECS,
  type Named,
  type Refusal,
  refusals,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { utf8Size } from '../../../../src/std/bytes.ts';

const Q: Named = { kind: 'queue', name: 'z', vhost: '/' };
const X: Named = { kind: 'exchange', name: 'x', vhost: '/' };
const short = (value: number): FieldValue => ({ type: 'short', value });
const text = (value: string): FieldValue => ({ type: 'longstr', value });
const alternate = (value: FieldValue | undefined): Refusal =>
  refusals.inequivalentArgument('alternate-exchange', X, value, undefined);
const ttl = (reason: string): Refusal =>
  refusals.invalidArgument('x-message-ttl', 'z', '/', reason);

const SEEN: readonly (readonly [Refusal, code: number, text: string])[] = [
  [refusals.noQueue('nope', '/'), 404, "NOT_FOUND - no queue 'nope' in vhost '/'"],
  [refusals.noExchange('nope', '/'), 404, "NOT_FOUND - no exchange 'nope' in vhost '/'"],
  [refusals.noPreviousQueue(), 404, 'NOT_FOUND - no previously declared queue'],
  [
    refusals.inequivalentProperty('durable', Q, 'true', 'false'),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'z' in vhost '/': received 'true' but current is 'false'",
  ],
  [
    refusals.lockedQueue('z', '/'),
    405,
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'z' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.",
  ],
  [
    refusals.inequivalentArgument('x-message-ttl', Q, short(1000), undefined),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'z' in vhost '/': received the value '1000' of type 'short' but current is none",
  ],
  [
    refusals.inequivalentArgument('x-message-ttl', Q, undefined, short(1000)),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'z' in vhost '/': received none but current is the value '1000' of type 'short'",
  ],
  [
    refusals.inequivalentArgument('x-message-ttl', Q, { type: 'long', value: 2000 }, short(1000)),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'z' in vhost '/': received '2000' but current is '1000'",
  ],
  [
    refusals.inequivalentArgument('x-dead-letter-exchange', Q, text('b'), text('a')),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'z' in vhost '/': received 'b' but current is 'a'",
  ],
  [
    refusals.inequivalentArgument(
      'x-dead-letter-exchange',
      Q,
      { type: 'array', value: [text('a'), { type: 'byte', value: 1 }] },
      text('a'),
    ),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'z' in vhost '/': received '[{longstr,<<\"a\">>},{byte,1}]' but current is 'a'",
  ],
  [
    alternate({ type: 'bool', value: true }),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received the value 'true' of type 'bool' but current is none",
  ],
  [
    alternate({ type: 'void' }),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received the value 'undefined' of type 'void' but current is none",
  ],
  [
    alternate({ type: 'double', value: 1.5 }),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received the value '1.5' of type 'double' but current is none",
  ],
  [
    alternate({ type: 'decimal', scale: 2, digits: 5 }),
    406,
    "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received the value '{2,5}' of type 'decimal' but current is none",
  ],
  [
    ttl(argumentFaults.negative(-1)),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'z' in vhost '/': {value_negative,-1}",
  ],
  [
    ttl(argumentFaults.notInteger('longstr')),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'z' in vhost '/': \"expected integer, got longstr\"",
  ],
  [
    ttl(argumentFaults.tooLarge(1_099_511_627_776)),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'z' in vhost '/': {value_too_large,1099511627776}",
  ],
  [
    refusals.invalidArgument('x-expires', 'z', '/', argumentFaults.zero()),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'z' in vhost '/': {value_zero,0}",
  ],
  [
    refusals.invalidArgument('x-overflow', 'z', '/', argumentFaults.overflow()),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'z' in vhost '/': invalid_overflow",
  ],
  [
    refusals.invalidArgument(
      'x-dead-letter-routing-key',
      'z',
      '/',
      argumentFaults.keyWithoutExchange(),
    ),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'z' in vhost '/': routing_key_but_no_dlx_defined",
  ],
  [
    refusals.invalidArgument('x-max-priority', 'z', '/', argumentFaults.aboveMax(256)),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'z' in vhost '/': {max_value_exceeded,256}",
  ],
  [
    refusals.invalidArgument('x-queue-type', 'z', '/', argumentFaults.unsupported('type', 'foo')),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'z' in vhost '/': \"unsupported queue type 'foo'\"",
  ],
  [
    refusals.invalidArgument('x-queue-type', 'z', '/', argumentFaults.unacceptable('byte')),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'z' in vhost '/': {unacceptable_type,byte}",
  ],
  [
    refusals.invalidArgumentType('byte', 'x-dead-letter-exchange', Q),
    406,
    "PRECONDITION_FAILED - invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'z' in vhost '/'",
  ],
  [
    refusals.argumentOfOtherType('x-delivery-limit', 'z', '/', 'rabbit_classic_queue'),
    406,
    "PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'z' in vhost '/' of queue type rabbit_classic_queue",
  ],
  [
    refusals.invalidProperty('exclusive-owner', 'z', '/'),
    406,
    "PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 'z' in vhost '/'",
  ],
  [
    refusals.serverNamedQueue('rabbit_quorum_queue'),
    406,
    'PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue',
  ],
  [
    refusals.reservedName('exchange', 'amq.foo'),
    403,
    "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
  ],
  [
    refusals.defaultExchange(),
    403,
    'ACCESS_REFUSED - operation not permitted on the default exchange',
  ],
  [
    refusals.systemExchange('amq.direct', '/'),
    403,
    "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
  ],
  [
    refusals.internalExchange('xi', '/'),
    403,
    "ACCESS_REFUSED - cannot publish to internal exchange 'xi' in vhost '/'",
  ],
  [
    refusals.exclusiveUse('z', '/'),
    403,
    "ACCESS_REFUSED - queue 'z' in vhost '/' in exclusive use",
  ],
  [refusals.noVhost('nope'), 530, 'NOT_ALLOWED - vhost nope not found'],
  [
    refusals.vhostRefused('v2', 'guest'),
    530,
    "NOT_ALLOWED - access to vhost 'v2' refused for user 'guest'",
  ],
  [refusals.consumerTagInUse('a'), 530, "NOT_ALLOWED - attempt to reuse consumer tag 'a'"],
  [
    refusals.tooManyChannels(1, 1),
    530,
    'NOT_ALLOWED - number of channels opened (1) has reached the negotiated channel_max (1)',
  ],
  [refusals.inUse(X), 406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"],
  [refusals.notEmpty('z', '/'), 406, "PRECONDITION_FAILED - queue 'z' in vhost '/' not empty"],
  [refusals.unknownDeliveryTag(99), 406, 'PRECONDITION_FAILED - unknown delivery tag 99'],
  [
    refusals.invalidExpiration('abc', argumentFaults.noInteger()),
    406,
    "PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
  ],
  [
    refusals.invalidExpiration('1.5', argumentFaults.leftover('.5')),
    406,
    'PRECONDITION_FAILED - invalid expiration \'1.5\': {leftover_string,".5"}',
  ],
  [
    refusals.otherUserId('bob', 'guest'),
    406,
    "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
  ],
  [
    refusals.invalidHeader('CC', 'longstr'),
    406,
    'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
  ],
  [refusals.noReplyConsumer(), 406, 'PRECONDITION_FAILED - fast reply consumer does not exist'],
  [refusals.replyConsumerAcks(), 406, 'PRECONDITION_FAILED - reply consumer cannot acknowledge'],
  [refusals.replyConsumerSet(), 406, 'PRECONDITION_FAILED - reply consumer already set'],
  [
    refusals.badMatch(text('foo')),
    406,
    'PRECONDITION_FAILED - Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x',
  ],
  [
    refusals.badMatch({ type: 'byte', value: 5 }),
    406,
    'PRECONDITION_FAILED - Invalid x-match field type byte (value 5); expected longstr',
  ],
  [refusals.notTransactional(), 406, 'PRECONDITION_FAILED - channel is not transactional'],
  [refusals.txToConfirm(), 406, 'PRECONDITION_FAILED - cannot switch from tx to confirm mode'],
  [refusals.confirmToTx(), 406, 'PRECONDITION_FAILED - cannot switch from confirm to tx mode'],
  [
    refusals.noPrefetch('zst', '/'),
    406,
    "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 'zst' in vhost '/''",
  ],
  [refusals.immediate(), 540, 'NOT_IMPLEMENTED - immediate=true'],
  [refusals.prefetchSize(5), 540, 'NOT_IMPLEMENTED - prefetch_size!=0 (5)'],
  [refusals.inactiveFlow(), 540, 'NOT_IMPLEMENTED - active=false'],
  [refusals.withoutRequeue(), 540, 'NOT_IMPLEMENTED - requeue=false'],
  [
    refusals.conditionalDelete('if-empty', 'zqq', '/'),
    540,
    "NOT_IMPLEMENTED - cannot delete queue 'zqq' in vhost '/'. queue.delete operations with if-empty flag set are not supported by quorum queues",
  ],
  [
    refusals.getFromStream('zst', '/'),
    540,
    "NOT_IMPLEMENTED - basic.get not supported by stream queues queue 'zst' in vhost '/'",
  ],
  [
    refusals.autoAckFromStream('zst', '/'),
    540,
    "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues queue 'zst' in vhost '/'",
  ],
  [
    refusals.globalQos('zqq', '/'),
    540,
    "NOT_IMPLEMENTED - queue 'zqq' in vhost '/' does not support global qos",
  ],
  [refusals.channelNotOpen(), 504, "CHANNEL_ERROR - expected 'channel.open'"],
  [refusals.channelOpenedTwice(), 504, "CHANNEL_ERROR - second 'channel.open' seen"],
  [
    refusals.unexpectedMethod('running'),
    504,
    'CHANNEL_ERROR - unexpected method in connection state running',
  ],
  [refusals.unimplementedMethod(), 503, 'COMMAND_INVALID - unimplemented method'],
];

describe('refusals', () => {
  it.each(SEEN)('%j', (refusal, code, words) => {
    const error = new AmqpError(...refusal, METHOD_CODECS['queue.declare']);
    expect(error.replyCode).toBe(code);
    expect(error.replyText).toBe(words);
    expect(error.method.methodId).toBe(10);
  });

  it('in the words of RabbitMQ 4', () => {
    const words = [
      refusals.noAccess('configure', Q, 'bob'),
      refusals.noTopicAccess('write', 'b.c', X, 'bob'),
      refusals.unknownExchangeType('nope'),
      refusals.queueLimit('z', '/', 5),
    ].map(([, explanation]) => explanation);
    expect(words).toEqual([
      "configure access to queue 'z' in vhost '/' refused for user 'bob'",
      "write access to topic 'b.c' in exchange 'x' in vhost '/' refused for user 'bob'",
      "unknown exchange type 'nope'",
      "cannot declare queue 'z' in vhost '/': queue limit in vhost '/' (5) is reached",
    ]);
  });

  it('of the longest names fit into a reply', () => {
    const error = new AmqpError(...refusals.noQueue('ü'.repeat(127), 'v'.repeat(255)));
    expect(utf8Size(error.replyText)).toBeLessThanOrEqual(255);
    expect(error.replyText.startsWith("NOT_FOUND - no queue 'üü")).toBe(true);
  });

  it('show values of every type', () => {
    const value: FieldValue = {
      type: 'table',
      value: [
        { name: 'b', value: { type: 'double', value: 1.5 } },
        { name: Uint8Array.of(0xff), value: { type: 'binary', value: Uint8Array.of(1, 2) } },
        { name: 'l', value: { type: 'long', value: 2n ** 60n } },
      ],
    };
    expect(alternate(value)[1]).toContain(
      'the value \'[{<<"b">>,double,1.5},{<<255>>,binary,<<1,2>>},{<<"l">>,long,1152921504606846976}]\'',
    );
    expect(alternate({ type: 'binary', value: Uint8Array.of(0x61) })[1]).toContain('\'<<"a">>\'');
  });
});
