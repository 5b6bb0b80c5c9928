// Which handler answers which call. Calls that are decoded and not served are refused in RocketMQ's words,
// which clients can show, rather than in gRPC's.
import type { Exchange, Handled } from '../exchange.ts';
import { Refusal } from '../refusal.ts';
import { Code } from '../schema/enums.ts';
import { METHODS, type Method } from '../schema/methods.ts';
import { heartbeat, notifyClientTermination, telemetry } from './clients.ts';
import { ackMessage, changeInvisibleDuration } from './leases.ts';
import { receiveMessage } from './receive.ts';
import { queryAssignment, queryRoute } from './routes.ts';
import { sendMessage } from './send.ts';

type Handler = (exchange: Exchange, request: never) => Handled;

function unserved({ name }: Method): Handler {
  const refusal = new Refusal(Code.NOT_IMPLEMENTED, `${name} is not served yet`);
  return () => refusal;
}

const HANDLERS: { readonly [M in keyof typeof METHODS]: Handler } = {
  queryRoute,
  queryAssignment,
  heartbeat,
  sendMessage,
  receiveMessage,
  ackMessage,
  changeInvisibleDuration,
  notifyClientTermination,
  telemetry,
  forwardMessageToDeadLetterQueue: unserved(METHODS.forwardMessageToDeadLetterQueue),
  endTransaction: unserved(METHODS.endTransaction),
  recallMessage: unserved(METHODS.recallMessage),
};

const BY_METHOD: ReadonlyMap<Method, Handler> = new Map(
  (Object.keys(METHODS) as (keyof typeof METHODS)[]).map((key) => [METHODS[key], HANDLERS[key]]),
);

const BY_PATH: ReadonlyMap<string, Method> = new Map(
  Object.values(METHODS).map((method) => [method.path, method]),
);

export function handlerOf(method: Method): Handler {
  return BY_METHOD.get(method)!;
}

/** The call of a path, or undefined where there is none. */
export function methodOf(path: string): Method | undefined {
  return BY_PATH.get(path);
}
