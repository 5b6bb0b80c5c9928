// The messages that several requests share: definition.proto of apache.rocketmq.v2 as rows, and the two
// well-known types of Google that it uses.
import { bool, bytes, enumeration, float, int32, int64, mapOfStrings, message, oneof, optional, repeated, string, sub, } from '../proto/rows.js';
import * as enums from './enums.js';
/** Since 1970-01-01 UTC; nanos are in [0, 999,999,999]. */
export const Timestamp = message('Timestamp', { seconds: int64(1), nanos: int32(2) });
/** Both parts have the same sign. */
export const Duration = message('Duration', { seconds: int64(1), nanos: int32(2) });
export const Status = message('Status', {
    code: enumeration(1, enums.Code),
    message: string(2),
});
export const Resource = message('Resource', { resourceNamespace: string(1), name: string(2) });
const Address = message('Address', { host: string(1), port: int32(2) });
export const Endpoints = message('Endpoints', {
    scheme: enumeration(1, enums.AddressScheme),
    addresses: repeated(sub(2, Address)),
});
const Broker = message('Broker', {
    name: string(1),
    id: int32(2),
    endpoints: sub(3, Endpoints),
});
export const MessageQueue = message('MessageQueue', {
    topic: sub(1, Resource),
    id: int32(2),
    permission: enumeration(3, enums.Permission),
    broker: sub(4, Broker),
    acceptMessageTypes: repeated(enumeration(5, enums.MessageType)),
});
export const Assignment = message('Assignment', { messageQueue: sub(1, MessageQueue) });
export const FilterExpression = message('FilterExpression', {
    type: enumeration(1, enums.FilterType),
    expression: string(2),
});
const SubscriptionEntry = message('SubscriptionEntry', {
    topic: sub(1, Resource),
    expression: sub(2, FilterExpression),
});
const ExponentialBackoff = message('ExponentialBackoff', {
    initial: sub(1, Duration),
    max: sub(2, Duration),
    multiplier: float(3),
});
const CustomizedBackoff = message('CustomizedBackoff', {
    next: repeated(sub(1, Duration)),
});
const RetryPolicy = message('RetryPolicy', {
    maxAttempts: int32(1),
    ...oneof('strategy', {
        exponentialBackoff: sub(2, ExponentialBackoff),
        customizedBackoff: sub(3, CustomizedBackoff),
    }),
});
const Digest = message('Digest', {
    type: enumeration(1, enums.DigestType),
    checksum: string(2),
});
const DeadLetterQueue = message('DeadLetterQueue', {
    topic: string(1),
    messageId: string(2),
});
const SystemProperties = message('SystemProperties', {
    tag: optional(string(1)),
    keys: repeated(string(2)),
    messageId: string(3),
    bodyDigest: sub(4, Digest),
    bodyEncoding: enumeration(5, enums.Encoding),
    messageType: enumeration(6, enums.MessageType),
    bornTimestamp: sub(7, Timestamp),
    bornHost: string(8),
    storeTimestamp: sub(9, Timestamp),
    storeHost: string(10),
    deliveryTimestamp: sub(11, Timestamp),
    receiptHandle: optional(string(12)),
    queueId: int32(13),
    queueOffset: optional(int64(14)),
    invisibleDuration: sub(15, Duration),
    deliveryAttempt: optional(int32(16)),
    messageGroup: optional(string(17)),
    traceContext: optional(string(18)),
    orphanedTransactionRecoveryDuration: sub(19, Duration),
    deadLetterQueue: sub(20, DeadLetterQueue),
    liteTopic: optional(string(21)),
    priority: optional(int32(22)),
});
export const Message = message('Message', {
    topic: sub(1, Resource),
    userProperties: mapOfStrings(2),
    systemProperties: sub(3, SystemProperties),
    body: bytes(4),
});
const UA = message('UA', {
    language: enumeration(1, enums.Language),
    version: string(2),
    platform: string(3),
    hostname: string(4),
});
const Publishing = message('Publishing', {
    topics: repeated(sub(1, Resource)),
    maxBodySize: int32(2),
    validateMessageType: bool(3),
});
const Subscription = message('Subscription', {
    group: sub(1, Resource),
    subscriptions: repeated(sub(2, SubscriptionEntry)),
    fifo: optional(bool(3)),
    receiveBatchSize: optional(int32(4)),
    longPollingTimeout: sub(5, Duration),
    liteSubscriptionQuota: optional(int32(6)),
    maxLiteTopicSize: optional(int32(7)),
});
const Metric = message('Metric', { on: bool(1), endpoints: sub(2, Endpoints) });
export const Settings = message('Settings', {
    clientType: optional(enumeration(1, enums.ClientType)),
    accessPoint: sub(2, Endpoints),
    backoffPolicy: sub(3, RetryPolicy),
    requestTimeout: sub(4, Duration),
    ...oneof('pubSub', { publishing: sub(5, Publishing), subscription: sub(6, Subscription) }),
    userAgent: sub(7, UA),
    metric: sub(8, Metric),
    clientProperties: mapOfStrings(9),
});
