// Every method that a client may send on an open channel, and what does it. Publishes and acknowledgements, of which
// there are very many, do not come through here.
import {
  type Method,
  type MethodArgs,
  type MethodName,
  type Refusal,
  refusals,
} from '../codec/index.ts';
import type { Channel } from './channel.ts';
import { cancel, consume, get, qos, recover } from './consuming.ts';
import { bindExchange, declareExchange, deleteExchange, unbindExchange } from './exchanges.ts';
import { bindQueue, declareQueue, deleteQueue, purgeQueue, unbindQueue } from './queues.ts';

type Handler<N extends MethodName> = (channel: Channel, args: MethodArgs<N>) => Refusal | undefined;

const noTransactions = (): Refusal => ['NOT_IMPLEMENTED', 'transactions'];

const HANDLERS: { readonly [N in MethodName]?: Handler<N> } = {
  'channel.open': () => refusals.channelOpenedTwice(),
  'channel.flow': (channel, { active }) => {
    if (!active) return refusals.inactiveFlow();
    channel.reply('channel.flow-ok', { active });
    return undefined;
  },
  'channel.close': (channel) => {
    channel.host.closed(channel);
    return undefined;
  },
  'access.request': (channel) => {
    channel.reply('access.request-ok', { ticket: 1 });
    return undefined;
  },
  'exchange.declare': declareExchange,
  'exchange.delete': deleteExchange,
  'exchange.bind': bindExchange,
  'exchange.unbind': unbindExchange,
  'queue.declare': declareQueue,
  'queue.bind': bindQueue,
  'queue.unbind': unbindQueue,
  'queue.purge': purgeQueue,
  'queue.delete': deleteQueue,
  'basic.qos': qos,
  'basic.consume': consume,
  'basic.cancel': cancel,
  'basic.get': get,
  'basic.recover': (channel, { requeue }) => recover(channel, requeue, true),
  'basic.recover-async': (channel, { requeue }) => recover(channel, requeue, false),
  // The answer to a cancel of the server, which waits for none.
  'basic.cancel-ok': () => undefined,
  'confirm.select': (channel, { noWait }) => {
    channel.selectConfirms();
    if (!noWait) channel.reply('confirm.select-ok', {});
    return undefined;
  },
  'tx.select': noTransactions,
  'tx.commit': noTransactions,
  'tx.rollback': noTransactions,
};

export function handleMethod(channel: Channel, method: Method): Refusal | undefined {
  const handler = HANDLERS[method.name] as Handler<MethodName> | undefined;
  if (handler === undefined) return refusals.unimplementedMethod();
  return handler(channel, method.args);
}
