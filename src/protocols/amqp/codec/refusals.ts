// What RabbitMQ says when it refuses something: reply code and words, because people search logs for them and some
// clients match on them. Seen on RabbitMQ 3.10.8, except: the verb before `access` and the queue limit are those of 4.x,
// an unknown exchange type is 406 as in 4.x. A session adds the method:
//
//   throw new AmqpError(...refusals.noQueue(name, vhost), METHOD_CODECS['queue.declare']);
import type { ReplyName } from './errors.ts';
import type { FieldType, FieldValue } from './field-values.ts';
import { valueAsTerm } from './terms.ts';

/** The first two arguments of an `AmqpError`. */
export type Refusal = readonly [reply: ReplyName, explanation: string];

/** A queue or an exchange, as texts name it. */
export interface Named {
  readonly kind: 'queue' | 'exchange';
  readonly name: string;
  readonly vhost: string;
}

/** `queue 'q' in vhost '/'`. */
function shown({ kind, name, vhost }: Named): string {
  return `${kind} '${name}' in vhost '${vhost}'`;
}

const queue = (name: string, vhost: string): string => shown({ kind: 'queue', name, vhost });
const notFound = (words: string): Refusal => ['NOT_FOUND', words];
const refused = (words: string): Refusal => ['ACCESS_REFUSED', words];
const failed = (words: string): Refusal => ['PRECONDITION_FAILED', words];
const notAllowed = (words: string): Refusal => ['NOT_ALLOWED', words];
const unimplemented = (words: string): Refusal => ['NOT_IMPLEMENTED', words];
const channelError = (words: string): Refusal => ['CHANNEL_ERROR', words];

/** How a value that is there, or is not, differs from one of another type, or from none. */
function described(value: FieldValue | undefined): string {
  return value === undefined ? 'none' : `the value '${valueAsTerm(value)}' of type '${value.type}'`;
}

export const refusals = {
  // ---- Names ------------------------------------------------------------------------------------
  noQueue: (name: string, vhost: string) => notFound(`no ${queue(name, vhost)}`),
  noExchange: (name: string, vhost: string) =>
    notFound(`no exchange '${name}' in vhost '${vhost}'`),
  noPreviousQueue: () => notFound('no previously declared queue'),
  homeNodeDown: (node: string, name: string, vhost: string) =>
    notFound(`home node '${node}' of durable ${queue(name, vhost)} is down or inaccessible`),
  reservedName: (kind: Named['kind'], name: string) =>
    refused(`${kind} name '${name}' contains reserved prefix 'amq.*'`),
  defaultExchange: () => refused('operation not permitted on the default exchange'),
  systemExchange: (name: string, vhost: string) =>
    refused(`deletion of system exchange '${name}' in vhost '${vhost}' not allowed`),
  internalExchange: (name: string, vhost: string) =>
    refused(`cannot publish to internal exchange '${name}' in vhost '${vhost}'`),

  // ---- Rights -----------------------------------------------------------------------------------
  noAccess: (verb: 'configure' | 'write' | 'read', what: Named, user: string) =>
    refused(`${verb} access to ${shown(what)} refused for user '${user}'`),
  noTopicAccess: (verb: 'write' | 'read', key: string, exchange: Named, user: string) =>
    refused(`${verb} access to topic '${key}' in ${shown(exchange)} refused for user '${user}'`),
  loginRefused: (mechanism: string) =>
    refused(
      `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
    ),
  lockedQueue: (name: string, vhost: string): Refusal => [
    'RESOURCE_LOCKED',
    `cannot obtain exclusive access to locked ${queue(name, vhost)}. It could be originally declared on ` +
      'another connection or the exclusive property value does not match that of the original declaration.',
  ],
  exclusiveUse: (name: string, vhost: string) => refused(`${queue(name, vhost)} in exclusive use`),
  noVhost: (vhost: string) => notAllowed(`vhost ${vhost} not found`),
  vhostRefused: (vhost: string, user: string) =>
    notAllowed(`access to vhost '${vhost}' refused for user '${user}'`),
  connectionLimit: (vhost: string, user: string, limit: number) =>
    notAllowed(
      `access to vhost '${vhost}' refused for user '${user}': connection limit (${limit}) is reached`,
    ),
  queueLimit: (name: string, vhost: string, limit: number) =>
    failed(
      `cannot declare ${queue(name, vhost)}: queue limit in vhost '${vhost}' (${limit}) is reached`,
    ),

  // ---- Declarations -----------------------------------------------------------------------------
  /** Durable, auto_delete, internal, type: as they were asked for and as they are. */
  inequivalentProperty: (property: string, what: Named, received: string, current: string) =>
    failed(
      `inequivalent arg '${property}' for ${shown(what)}: received '${received}' but current is '${current}'`,
    ),
  /** Undefined: the argument is not there. */
  inequivalentArgument: (
    argument: string,
    what: Named,
    received: FieldValue | undefined,
    current: FieldValue | undefined,
  ) => {
    const start = `inequivalent arg '${argument}' for ${shown(what)}: received`;
    return received !== undefined && current !== undefined
      ? failed(`${start} '${valueAsTerm(received)}' but current is '${valueAsTerm(current)}'`)
      : failed(`${start} ${described(received)} but current is ${described(current)}`);
  },
  /** `reason`: one of `argumentFaults`. */
  invalidArgument: (argument: string, name: string, vhost: string, reason: string) =>
    failed(`invalid arg '${argument}' for ${queue(name, vhost)}: ${reason}`),
  /** `type` is the module that RabbitMQ would have: rabbit_classic_queue, rabbit_quorum_queue, rabbit_stream_queue. */
  argumentOfOtherType: (argument: string, name: string, vhost: string, type: string) =>
    failed(`invalid arg '${argument}' for ${queue(name, vhost)} of queue type ${type}`),
  /** Dead-letter and alternate exchange must be long strings. */
  invalidArgumentType: (type: FieldType, argument: string, what: Named) =>
    failed(`invalid type '${type}' for arg '${argument}' in ${shown(what)}`),
  invalidProperty: (
    property: 'non-durable' | 'exclusive-owner' | 'auto-delete',
    name: string,
    vhost: string,
  ) => failed(`invalid property '${property}' for ${queue(name, vhost)}`),
  serverNamedQueue: (type: string) =>
    failed(`Cannot declare a server-named queue for type ${type}`),
  unknownExchangeType: (type: string) => failed(`unknown exchange type '${type}'`),
  inUse: (what: Named) => failed(`${shown(what)} in use`),
  notEmpty: (name: string, vhost: string) => failed(`${queue(name, vhost)} not empty`),
  badMatch: (value: FieldValue) =>
    value.type === 'longstr'
      ? failed(
          `Invalid x-match field value <<"${valueAsTerm(value)}">>; ` +
            'expected all, any, all-with-x, or any-with-x',
        )
      : failed(
          `Invalid x-match field type ${value.type} (value ${valueAsTerm(value)}); expected longstr`,
        ),

  // ---- Messages ---------------------------------------------------------------------------------
  unknownDeliveryTag: (tag: string | number) => failed(`unknown delivery tag ${tag}`),
  /** `reason`: one of `argumentFaults`. */
  invalidExpiration: (text: string, reason: string) =>
    failed(`invalid expiration '${text}': ${reason}`),
  otherUserId: (userId: string, user: string) =>
    failed(`user_id property set to '${userId}' but authenticated user was '${user}'`),
  invalidHeader: (header: 'CC' | 'BCC', type: FieldType) =>
    failed(`invalid message: {unacceptable_type_in_header,"${header}",${type}}`),
  noReplyConsumer: () => failed('fast reply consumer does not exist'),
  replyConsumerAcks: () => failed('reply consumer cannot acknowledge'),
  replyConsumerSet: () => failed('reply consumer already set'),
  notTransactional: () => failed('channel is not transactional'),
  txToConfirm: () => failed('cannot switch from tx to confirm mode'),
  confirmToTx: () => failed('cannot switch from confirm to tx mode'),
  noPrefetch: (name: string, vhost: string) =>
    failed(`consumer prefetch count is not set for '${queue(name, vhost)}'`),
  acknowledgementTimeout: (channel: number, timeoutMs: number) =>
    failed(
      `delivery acknowledgement on channel ${channel} timed out. Timeout value used: ${timeoutMs} ms. ` +
        'This timeout value can be configured, see consumers doc guide to learn more',
    ),

  // ---- What is not done -------------------------------------------------------------------------
  immediate: () => unimplemented('immediate=true'),
  prefetchSize: (size: number) => unimplemented(`prefetch_size!=0 (${size})`),
  inactiveFlow: () => unimplemented('active=false'),
  withoutRequeue: () => unimplemented('requeue=false'),
  /** RabbitMQ's words for quorum queues; of a stream it ignores the flags. */
  conditionalDelete: (
    flag: 'if-empty' | 'if-unused',
    name: string,
    vhost: string,
    type: 'quorum' | 'stream' = 'quorum',
  ) =>
    unimplemented(
      `cannot delete ${queue(name, vhost)}. queue.delete operations with ${flag} flag set are not ` +
        `supported by ${type} queues`,
    ),
  getFromStream: (name: string, vhost: string) =>
    unimplemented(`basic.get not supported by stream queues ${queue(name, vhost)}`),
  purgeStream: (name: string, vhost: string) =>
    unimplemented(`queue.purge not supported by stream queues ${queue(name, vhost)}`),
  autoAckFromStream: (name: string, vhost: string) =>
    unimplemented(`automatic acknowledgement not supported by stream queues ${queue(name, vhost)}`),
  globalQos: (name: string, vhost: string) =>
    unimplemented(`${queue(name, vhost)} does not support global qos`),

  // ---- Channels and connections -----------------------------------------------------------------
  consumerTagInUse: (tag: string) => notAllowed(`attempt to reuse consumer tag '${tag}'`),
  tooManyChannels: (count: number, channelMax: number) =>
    notAllowed(
      `number of channels opened (${count}) has reached the negotiated channel_max (${channelMax})`,
    ),
  channelNotOpen: () => channelError("expected 'channel.open'"),
  channelOpenedTwice: () => channelError("second 'channel.open' seen"),
  commandInCommit: () => channelError("unexpected command while processing 'tx.commit'"),
  /** `state`: running, starting, tuning, opening. */
  unexpectedMethod: (state: string) =>
    channelError(`unexpected method in connection state ${state}`),
  unimplementedMethod: (): Refusal => ['COMMAND_INVALID', 'unimplemented method'],
  connectionForced: (reason: string): Refusal => ['CONNECTION_FORCED', reason],
  shutDown: (): Refusal => [
    'CONNECTION_FORCED',
    "broker forced connection closure with reason 'shutdown'",
  ],
} as const;

/** What can be wrong with a number or a word: Erlang terms. */
export const argumentFaults = {
  negative: (value: FieldNumber) => `{value_negative,${value}}`,
  zero: () => '{value_zero,0}',
  tooLarge: (value: FieldNumber) => `{value_too_large,${value}}`,
  aboveMax: (value: FieldNumber) => `{max_value_exceeded,${value}}`,
  notInteger: (type: FieldType) => `"expected integer, got ${type}"`,
  unacceptable: (type: FieldType) => `{unacceptable_type,${type}}`,
  unsupported: (what: 'type' | 'mode' | 'durability', value: string) =>
    `"unsupported queue ${what} '${value}'"`,
  overflow: () => 'invalid_overflow',
  maxAge: () => 'invalid_max_age',
  invalidStreamOffset: (value: FieldValue) =>
    `{invalid_stream_offset_arg,{${value.type},${value.type === 'longstr' ? `<<"${valueAsTerm(value)}">>` : valueAsTerm(value)}}}`,
  keyWithoutExchange: () => 'routing_key_but_no_dlx_defined',
  /** Of an expiration. */
  noInteger: () => 'no_integer',
  leftover: (rest: string) => `{leftover_string,"${rest}"}`,
} as const;

type FieldNumber = number | bigint;
