// RocketMQ's properties as headers of a record. The names are those that RocketMQ stores them under, so that
// its other family of clients, and people who read the topic with Kafka's tools, find what they know.

/** Headers that are fields of a message and not its user's. */
export const Header = {
  messageId: 'UNIQ_KEY',
  tag: 'TAGS',
  /** One header for each key. */
  key: 'KEYS',
  bornHost: '__BORNHOST',
  deliverAtMs: 'TIMER_DELIVER_MS',
  traceContext: 'TRACE_CONTEXT',
} as const;

/** Names that a user's property may not have (apache/rocketmq, MessageConst). */
const RESERVED: ReadonlySet<string> = new Set([
  ...'TRACE_ON MSG_REGION KEYS TAGS WAIT DELAY RETRY_TOPIC REAL_TOPIC REAL_QID TRAN_MSG PGROUP'.split(
    ' ',
  ),
  ...'MIN_OFFSET MAX_OFFSET BUYER_ID ORIGIN_MESSAGE_ID TRANSFER_FLAG CORRECTION_FLAG MQ2_FLAG'.split(
    ' ',
  ),
  ...'RECONSUME_TIME UNIQ_KEY MAX_RECONSUME_TIMES CONSUME_START_TIME POP_CK POP_CK_OFFSET'.split(
    ' ',
  ),
  ...'1ST_POP_TIME TRAN_PREPARED_QUEUE_OFFSET DUP_INFO EXTEND_UNIQ_INFO INSTANCE_ID'.split(' '),
  ...'CORRELATION_ID REPLY_TO_CLIENT TTL ARRIVE_TIME PUSH_REPLY_TIME CLUSTER MSG_TYPE'.split(' '),
  ...'INNER_MULTI_QUEUE_OFFSET TIMER_DELAY_SEC TIMER_DELIVER_MS TIMER_ENQUEUE_MS'.split(' '),
  ...'TIMER_DEQUEUE_MS TIMER_ROLL_TIMES TIMER_OUT_MS TIMER_DEL_UNIQKEY TIMER_DELAY_LEVEL'.split(
    ' ',
  ),
  ...'__BORNHOST BORN_TIMESTAMP __SHARDINGKEY TRACE_CONTEXT'.split(' '),
]);

export function isReserved(name: string): boolean {
  return RESERVED.has(name);
}
