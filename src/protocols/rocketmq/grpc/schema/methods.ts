// The calls of MessagingService that are decoded here. A path that is not in this table ends with gRPC's
// UNIMPLEMENTED: the pull calls, which upstream does not serve either, and those of lite topics.
import type { Message, Rows } from '../proto/index.ts';
import * as service from './service.ts';

/** How many messages go each way: one and one, one and many, many and many. */
export type CallKind = 'unary' | 'server-stream' | 'bidi';

export interface Method<Q extends Rows = Rows, R extends Rows = Rows> {
  readonly name: string;
  readonly path: string;
  readonly kind: CallKind;
  readonly request: Message<Q>;
  readonly response: Message<R>;
}

const SERVICE_PATH = '/apache.rocketmq.v2.MessagingService/';

function method<Q extends Rows, R extends Rows>(
  name: string,
  kind: CallKind,
  request: Message<Q>,
  response: Message<R>,
): Method<Q, R> {
  return { name, path: SERVICE_PATH + name, kind, request, response };
}

export const METHODS = {
  queryRoute: method('QueryRoute', 'unary', service.QueryRouteRequest, service.QueryRouteResponse),
  heartbeat: method('Heartbeat', 'unary', service.HeartbeatRequest, service.HeartbeatResponse),
  sendMessage: method(
    'SendMessage',
    'unary',
    service.SendMessageRequest,
    service.SendMessageResponse,
  ),
  queryAssignment: method(
    'QueryAssignment',
    'unary',
    service.QueryAssignmentRequest,
    service.QueryAssignmentResponse,
  ),
  receiveMessage: method(
    'ReceiveMessage',
    'server-stream',
    service.ReceiveMessageRequest,
    service.ReceiveMessageResponse,
  ),
  ackMessage: method('AckMessage', 'unary', service.AckMessageRequest, service.AckMessageResponse),
  changeInvisibleDuration: method(
    'ChangeInvisibleDuration',
    'unary',
    service.ChangeInvisibleDurationRequest,
    service.ChangeInvisibleDurationResponse,
  ),
  forwardMessageToDeadLetterQueue: method(
    'ForwardMessageToDeadLetterQueue',
    'unary',
    service.ForwardMessageToDeadLetterQueueRequest,
    service.ForwardMessageToDeadLetterQueueResponse,
  ),
  endTransaction: method(
    'EndTransaction',
    'unary',
    service.EndTransactionRequest,
    service.EndTransactionResponse,
  ),
  recallMessage: method(
    'RecallMessage',
    'unary',
    service.RecallMessageRequest,
    service.RecallMessageResponse,
  ),
  notifyClientTermination: method(
    'NotifyClientTermination',
    'unary',
    service.NotifyClientTerminationRequest,
    service.NotifyClientTerminationResponse,
  ),
  telemetry: method('Telemetry', 'bidi', service.TelemetryCommand, service.TelemetryCommand),
} as const;
