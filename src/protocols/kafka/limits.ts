// What one listener allows its clients, and how long it waits for them.
import { FRAME_LIMITS, type FrameLimits } from './session.ts';

export interface KafkaLimits {
  readonly frames: FrameLimits;
  /** From the connection to its first whole request. */
  readonly handshakeTimeoutMs: number;
  /** Without a request; connections.max.idle.ms of Kafka. */
  readonly idleTimeoutMs: number;
  /** Connections of one address on one thread. */
  readonly connectionsPerAddressMax: number;
  /** Whole requests that wait behind the one at work; beyond it nothing is read. */
  readonly readAheadBytesMax: number;
  /** Request bytes of all connections of a thread; who goes beyond it is closed. */
  readonly heldBytesMax: number;
  /** Unsent bytes of one connection; beyond it no request is worked on. */
  readonly unsentBytesMax: number;
  /** Bytes of one fetch, whatever the client asks for. */
  readonly fetchBytesMax: number;
  /** The longest long poll. */
  readonly fetchWaitMaxMs: number;
  /** Logs of one destination. */
  readonly partitionsMax: number;
}

export const KAFKA_LIMITS: KafkaLimits = {
  frames: FRAME_LIMITS,
  handshakeTimeoutMs: 10_000,
  idleTimeoutMs: 600_000,
  connectionsPerAddressMax: 4_096,
  readAheadBytesMax: 1024 * 1024,
  heldBytesMax: 256 * 1024 * 1024,
  unsentBytesMax: 1024 * 1024,
  fetchBytesMax: 16 * 1024 * 1024,
  fetchWaitMaxMs: 300_000,
  partitionsMax: 10_000,
};
