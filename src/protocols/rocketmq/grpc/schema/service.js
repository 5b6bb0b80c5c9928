// The requests and responses of MessagingService: service.proto of apache.rocketmq.v2 as rows, for the calls
// that are decoded here. `methods.ts` lists the calls.
import { bool, enumeration, int32, int64, message, oneof, optional, repeated, string, sub, } from '../proto/rows.js';
import { Assignment, Duration, Endpoints, FilterExpression, Message, MessageQueue, Resource, Settings, Status, Timestamp, } from './definition.js';
import { ClientType, TransactionResolution, TransactionSource } from './enums.js';
export const QueryRouteRequest = message('QueryRouteRequest', {
    topic: sub(1, Resource),
    endpoints: sub(2, Endpoints),
});
export const QueryRouteResponse = message('QueryRouteResponse', {
    status: sub(1, Status),
    messageQueues: repeated(sub(2, MessageQueue)),
});
export const SendMessageRequest = message('SendMessageRequest', {
    messages: repeated(sub(1, Message)),
});
const SendResultEntry = message('SendResultEntry', {
    status: sub(1, Status),
    messageId: string(2),
    transactionId: string(3),
    offset: int64(4),
    recallHandle: string(5),
});
export const SendMessageResponse = message('SendMessageResponse', {
    status: sub(1, Status),
    entries: repeated(sub(2, SendResultEntry)),
});
export const QueryAssignmentRequest = message('QueryAssignmentRequest', {
    topic: sub(1, Resource),
    group: sub(2, Resource),
    endpoints: sub(3, Endpoints),
});
export const QueryAssignmentResponse = message('QueryAssignmentResponse', {
    status: sub(1, Status),
    assignments: repeated(sub(2, Assignment)),
});
export const ReceiveMessageRequest = message('ReceiveMessageRequest', {
    group: sub(1, Resource),
    messageQueue: sub(2, MessageQueue),
    filterExpression: sub(3, FilterExpression),
    batchSize: int32(4),
    invisibleDuration: sub(5, Duration),
    autoRenew: bool(6),
    longPollingTimeout: sub(7, Duration),
    attemptId: optional(string(8)),
});
export const ReceiveMessageResponse = message('ReceiveMessageResponse', {
    ...oneof('content', {
        status: sub(1, Status),
        message: sub(2, Message),
        deliveryTimestamp: sub(3, Timestamp),
    }),
});
const AckMessageEntry = message('AckMessageEntry', {
    messageId: string(1),
    receiptHandle: string(2),
    liteTopic: optional(string(3)),
});
export const AckMessageRequest = message('AckMessageRequest', {
    group: sub(1, Resource),
    topic: sub(2, Resource),
    entries: repeated(sub(3, AckMessageEntry)),
});
const AckMessageResultEntry = message('AckMessageResultEntry', {
    messageId: string(1),
    receiptHandle: string(2),
    status: sub(3, Status),
});
export const AckMessageResponse = message('AckMessageResponse', {
    status: sub(1, Status),
    entries: repeated(sub(2, AckMessageResultEntry)),
});
export const ChangeInvisibleDurationRequest = message('ChangeInvisibleDurationRequest', {
    group: sub(1, Resource),
    topic: sub(2, Resource),
    receiptHandle: string(3),
    invisibleDuration: sub(4, Duration),
    messageId: string(5),
    liteTopic: optional(string(6)),
    suspend: optional(bool(7)),
});
export const ChangeInvisibleDurationResponse = message('ChangeInvisibleDurationResponse', {
    status: sub(1, Status),
    receiptHandle: string(2),
});
export const ForwardMessageToDeadLetterQueueRequest = message('ForwardMessageToDeadLetterQueueRequest', {
    group: sub(1, Resource),
    topic: sub(2, Resource),
    receiptHandle: string(3),
    messageId: string(4),
    deliveryAttempt: int32(5),
    maxDeliveryAttempts: int32(6),
    liteTopic: optional(string(7)),
});
export const ForwardMessageToDeadLetterQueueResponse = message('ForwardMessageToDeadLetterQueueResponse', { status: sub(1, Status) });
export const HeartbeatRequest = message('HeartbeatRequest', {
    group: sub(1, Resource),
    clientType: enumeration(2, ClientType),
});
export const HeartbeatResponse = message('HeartbeatResponse', { status: sub(1, Status) });
export const EndTransactionRequest = message('EndTransactionRequest', {
    topic: sub(1, Resource),
    messageId: string(2),
    transactionId: string(3),
    resolution: enumeration(4, TransactionResolution),
    source: enumeration(5, TransactionSource),
    traceContext: string(6),
});
export const EndTransactionResponse = message('EndTransactionResponse', { status: sub(1, Status) });
export const NotifyClientTerminationRequest = message('NotifyClientTerminationRequest', {
    group: sub(1, Resource),
});
export const NotifyClientTerminationResponse = message('NotifyClientTerminationResponse', {
    status: sub(1, Status),
});
export const RecallMessageRequest = message('RecallMessageRequest', {
    topic: sub(1, Resource),
    recallHandle: string(2),
});
export const RecallMessageResponse = message('RecallMessageResponse', {
    status: sub(1, Status),
    messageId: string(2),
});
// ---- Telemetry: one message type in both directions ---------------------------------------------
const ThreadStackTrace = message('ThreadStackTrace', {
    nonce: string(1),
    threadStackTrace: optional(string(2)),
});
const VerifyMessageResult = message('VerifyMessageResult', { nonce: string(1) });
const RecoverOrphanedTransactionCommand = message('RecoverOrphanedTransactionCommand', {
    message: sub(1, Message),
    transactionId: string(2),
});
const PrintThreadStackTraceCommand = message('PrintThreadStackTraceCommand', {
    nonce: string(1),
});
const VerifyMessageCommand = message('VerifyMessageCommand', {
    nonce: string(1),
    message: sub(2, Message),
});
const ReconnectEndpointsCommand = message('ReconnectEndpointsCommand', { nonce: string(1) });
const NotifyUnsubscribeLiteCommand = message('NotifyUnsubscribeLiteCommand', {
    liteTopic: string(1),
});
export const TelemetryCommand = message('TelemetryCommand', {
    status: sub(1, Status),
    ...oneof('command', {
        settings: sub(2, Settings),
        threadStackTrace: sub(3, ThreadStackTrace),
        verifyMessageResult: sub(4, VerifyMessageResult),
        recoverOrphanedTransactionCommand: sub(5, RecoverOrphanedTransactionCommand),
        printThreadStackTraceCommand: sub(6, PrintThreadStackTraceCommand),
        verifyMessageCommand: sub(7, VerifyMessageCommand),
        reconnectEndpointsCommand: sub(8, ReconnectEndpointsCommand),
        notifyUnsubscribeLiteCommand: sub(9, NotifyUnsubscribeLiteCommand),
    }),
});
