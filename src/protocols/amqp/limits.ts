// What one listener allows its clients, and how long it waits for them.
import { READER_LIMITS, type ReaderLimits } from './codec/index.ts';

export interface AmqpLimits {
  readonly reader: ReaderLimits;
  /** Offered in connection.tune, like frame_max (`reader.frameBytesMax`). */
  readonly channelMax: number;
  readonly heartbeatSeconds: number;
  /** From the connection to connection.open-ok; RabbitMQ's handshake_timeout. */
  readonly handshakeTimeoutMs: number;
  /** Logins of one address that may fail in a row on one thread, and after how long one more may. */
  readonly failedLoginsMax: number;
  readonly failedLoginEveryMs: number;
  /** How long a refused login hears nothing before the connection ends. */
  readonly refusedLoginMs: number;
  /** How long a close of the server waits for its answer. */
  readonly closeTimeoutMs: number;
  /** Connections of one address on one thread. */
  readonly connectionsPerAddressMax: number;
  /** Commands of one connection that wait behind others, bytes; beyond it nothing is read. */
  readonly deferredBytesMax: number;
  /** Received bytes that all connections of a thread hold; who goes beyond it is closed. */
  readonly heldBytesMax: number;
  /** Unsent bytes of one connection: beyond the first it gets no messages, beyond the second it is not read from. */
  readonly unsentBytesMax: number;
  readonly unansweredBytesMax: number;
  /** How long a change of the cluster's metadata may take. */
  readonly changeTimeoutMs: number;
  /** How long a queue may take to answer a question. */
  readonly queueTimeoutMs: number;
}

export const AMQP_LIMITS: AmqpLimits = {
  reader: READER_LIMITS,
  channelMax: 2047,
  heartbeatSeconds: 60,
  handshakeTimeoutMs: 10_000,
  failedLoginsMax: 20,
  failedLoginEveryMs: 500,
  refusedLoginMs: 3_000,
  closeTimeoutMs: 3_000,
  connectionsPerAddressMax: 4_096,
  deferredBytesMax: 1024 * 1024,
  heldBytesMax: 256 * 1024 * 1024,
  unsentBytesMax: 1024 * 1024,
  unansweredBytesMax: 8 * 1024 * 1024,
  changeTimeoutMs: 10_000,
  queueTimeoutMs: 10_000,
};
