// Every class and method of AMQP 0-9-1, with what RabbitMQ added: confirm, basic.nack, exchange.bind and unbind,
// connection.blocked, unblocked and update-secret, access.request kept, exchange.declare with auto-delete and
// internal. Ids and arguments as in RabbitMQ's extended 0-9-1 definition (rabbitmq.com/resources/specs,
// amqp0-9-1.extended.xml) and its connection extensions. Everything else is made from this table.
import {
  bit,
  type DecodedArgs,
  type EncodableArgs,
  long,
  longlong,
  longstr,
  type MethodRow,
  octet,
  reserved,
  row,
  short,
  shortstr,
  table,
} from './method-rows.ts';

/** A ticket of the access class, which nobody has used since 0-9. */
const ticket = reserved(short);
const close = { replyCode: short, replyText: shortstr, classId: short, methodId: short };
const exchangeBinding = {
  ticket,
  destination: shortstr,
  source: shortstr,
  routingKey: shortstr,
  noWait: bit,
  arguments: table,
};

// biome-ignore format: a table is read by its rows.
export const METHODS = {
  'connection.start': row([10, 10], 'server', 'sync', { versionMajor: octet, versionMinor: octet, serverProperties: table, mechanisms: longstr, locales: longstr }),
  'connection.start-ok': row([10, 11], 'client', 'plain', { clientProperties: table, mechanism: shortstr, response: longstr, locale: shortstr }),
  'connection.secure': row([10, 20], 'server', 'sync', { challenge: longstr }),
  'connection.secure-ok': row([10, 21], 'client', 'plain', { response: longstr }),
  'connection.tune': row([10, 30], 'server', 'sync', { channelMax: short, frameMax: long, heartbeat: short }),
  'connection.tune-ok': row([10, 31], 'client', 'plain', { channelMax: short, frameMax: long, heartbeat: short }),
  'connection.open': row([10, 40], 'client', 'sync', { virtualHost: shortstr, capabilities: reserved(shortstr), insist: reserved(bit) }),
  'connection.open-ok': row([10, 41], 'server', 'plain', { knownHosts: reserved(shortstr) }),
  'connection.close': row([10, 50], 'both', 'sync', close),
  'connection.close-ok': row([10, 51], 'both', 'plain', {}),
  'connection.blocked': row([10, 60], 'server', 'plain', { reason: shortstr }),
  'connection.unblocked': row([10, 61], 'server', 'plain', {}),
  'connection.update-secret': row([10, 70], 'client', 'sync', { newSecret: longstr, reason: shortstr }),
  'connection.update-secret-ok': row([10, 71], 'server', 'plain', {}),

  'channel.open': row([20, 10], 'client', 'sync', { outOfBand: reserved(shortstr) }),
  'channel.open-ok': row([20, 11], 'server', 'plain', { channelId: reserved(longstr) }),
  'channel.flow': row([20, 20], 'both', 'sync', { active: bit }),
  'channel.flow-ok': row([20, 21], 'both', 'plain', { active: bit }),
  'channel.close': row([20, 40], 'both', 'sync', close),
  'channel.close-ok': row([20, 41], 'both', 'plain', {}),

  'access.request': row([30, 10], 'client', 'sync', { realm: shortstr, exclusive: bit, passive: bit, active: bit, write: bit, read: bit }),
  'access.request-ok': row([30, 11], 'server', 'plain', { ticket: short }),

  'exchange.declare': row([40, 10], 'client', 'sync', { ticket, exchange: shortstr, type: shortstr, passive: bit, durable: bit, autoDelete: bit, internal: bit, noWait: bit, arguments: table }),
  'exchange.declare-ok': row([40, 11], 'server', 'plain', {}),
  'exchange.delete': row([40, 20], 'client', 'sync', { ticket, exchange: shortstr, ifUnused: bit, noWait: bit }),
  'exchange.delete-ok': row([40, 21], 'server', 'plain', {}),
  'exchange.bind': row([40, 30], 'client', 'sync', exchangeBinding),
  'exchange.bind-ok': row([40, 31], 'server', 'plain', {}),
  'exchange.unbind': row([40, 40], 'client', 'sync', exchangeBinding),
  'exchange.unbind-ok': row([40, 51], 'server', 'plain', {}),

  'queue.declare': row([50, 10], 'client', 'sync', { ticket, queue: shortstr, passive: bit, durable: bit, exclusive: bit, autoDelete: bit, noWait: bit, arguments: table }),
  'queue.declare-ok': row([50, 11], 'server', 'plain', { queue: shortstr, messageCount: long, consumerCount: long }),
  'queue.bind': row([50, 20], 'client', 'sync', { ticket, queue: shortstr, exchange: shortstr, routingKey: shortstr, noWait: bit, arguments: table }),
  'queue.bind-ok': row([50, 21], 'server', 'plain', {}),
  'queue.purge': row([50, 30], 'client', 'sync', { ticket, queue: shortstr, noWait: bit }),
  'queue.purge-ok': row([50, 31], 'server', 'plain', { messageCount: long }),
  'queue.delete': row([50, 40], 'client', 'sync', { ticket, queue: shortstr, ifUnused: bit, ifEmpty: bit, noWait: bit }),
  'queue.delete-ok': row([50, 41], 'server', 'plain', { messageCount: long }),
  'queue.unbind': row([50, 50], 'client', 'sync', { ticket, queue: shortstr, exchange: shortstr, routingKey: shortstr, arguments: table }),
  'queue.unbind-ok': row([50, 51], 'server', 'plain', {}),

  'basic.qos': row([60, 10], 'client', 'sync', { prefetchSize: long, prefetchCount: short, global: bit }),
  'basic.qos-ok': row([60, 11], 'server', 'plain', {}),
  'basic.consume': row([60, 20], 'client', 'sync', { ticket, queue: shortstr, consumerTag: shortstr, noLocal: bit, noAck: bit, exclusive: bit, noWait: bit, arguments: table }),
  'basic.consume-ok': row([60, 21], 'server', 'plain', { consumerTag: shortstr }),
  'basic.cancel': row([60, 30], 'both', 'sync', { consumerTag: shortstr, noWait: bit }),
  'basic.cancel-ok': row([60, 31], 'both', 'plain', { consumerTag: shortstr }),
  'basic.publish': row([60, 40], 'client', 'content', { ticket, exchange: shortstr, routingKey: shortstr, mandatory: bit, immediate: bit }),
  'basic.return': row([60, 50], 'server', 'content', { replyCode: short, replyText: shortstr, exchange: shortstr, routingKey: shortstr }),
  'basic.deliver': row([60, 60], 'server', 'content', { consumerTag: shortstr, deliveryTag: longlong, redelivered: bit, exchange: shortstr, routingKey: shortstr }),
  'basic.get': row([60, 70], 'client', 'sync', { ticket, queue: shortstr, noAck: bit }),
  'basic.get-ok': row([60, 71], 'server', 'content', { deliveryTag: longlong, redelivered: bit, exchange: shortstr, routingKey: shortstr, messageCount: long }),
  'basic.get-empty': row([60, 72], 'server', 'plain', { clusterId: reserved(shortstr) }),
  'basic.ack': row([60, 80], 'both', 'plain', { deliveryTag: longlong, multiple: bit }),
  'basic.reject': row([60, 90], 'client', 'plain', { deliveryTag: longlong, requeue: bit }),
  'basic.recover-async': row([60, 100], 'client', 'plain', { requeue: bit }),
  'basic.recover': row([60, 110], 'client', 'sync', { requeue: bit }),
  'basic.recover-ok': row([60, 111], 'server', 'plain', {}),
  'basic.nack': row([60, 120], 'both', 'plain', { deliveryTag: longlong, multiple: bit, requeue: bit }),

  'confirm.select': row([85, 10], 'client', 'sync', { noWait: bit }),
  'confirm.select-ok': row([85, 11], 'server', 'plain', {}),

  'tx.select': row([90, 10], 'client', 'sync', {}),
  'tx.select-ok': row([90, 11], 'server', 'plain', {}),
  'tx.commit': row([90, 20], 'client', 'sync', {}),
  'tx.commit-ok': row([90, 21], 'server', 'plain', {}),
  'tx.rollback': row([90, 30], 'client', 'sync', {}),
  'tx.rollback-ok': row([90, 31], 'server', 'plain', {}),
} as const satisfies Readonly<Record<string, MethodRow>>;

export type MethodName = keyof typeof METHODS;

/** What decoding a method of that name gives. */
export type MethodArgs<N extends MethodName> = DecodedArgs<(typeof METHODS)[N]['args']>;

/** What encoding it takes: bits and tables may be left out. */
export type MethodInput<N extends MethodName> = EncodableArgs<(typeof METHODS)[N]['args']>;

/** A decoded method: a union by `name`. */
export type Method<N extends MethodName = MethodName> = {
  [K in N]: { readonly name: K; readonly args: MethodArgs<K> };
}[N];

/** The class of everything that carries content. */
export const BASIC_CLASS = 60;
