// What one listener allows its clients. The numbers are those that the official proxy has by default, where
// clients can tell (apache/rocketmq, ProxyConfig).

export interface RocketLimits {
  /** Of a message's body, unpacked. */
  readonly bodyBytesMax: number;
  readonly userPropertiesMax: number;
  /** Names and values of all properties, with tag and keys. */
  readonly propertyBytesMax: number;
  /** One message group, in characters. */
  readonly messageGroupCharsMax: number;
  readonly messagesPerSendMax: number;
  /** Messages of one receive, whatever the client asks for, and bytes of their records: at least one. */
  readonly receiveMessagesMax: number;
  readonly receiveBytesMax: number;
  /** What a receiver may ask for. */
  readonly leaseMsMin: number;
  readonly leaseMsMax: number;
  /** The longest wait for messages. */
  readonly pollMsMax: number;
  /** Before the call's deadline, for the answer to arrive in. */
  readonly answerMs: number;
  /** The longest wait for the broker, when the call has no deadline. */
  readonly brokerTimeoutMs: number;
  /** A client that sends no heartbeat for so long is gone. */
  readonly silenceMsMax: number;
  /** For so long after that, its settings are known. */
  readonly rememberMs: number;
  readonly clientsMax: number;
}

export const ROCKET_LIMITS: RocketLimits = {
  bodyBytesMax: 4 * 1024 * 1024,
  userPropertiesMax: 128,
  propertyBytesMax: 16 * 1024,
  messageGroupCharsMax: 64,
  messagesPerSendMax: 4096,
  receiveMessagesMax: 32,
  receiveBytesMax: 4 * 1024 * 1024,
  leaseMsMin: 10_000,
  leaseMsMax: 12 * 3_600_000,
  pollMsMax: 20_000,
  answerMs: 500,
  brokerTimeoutMs: 10_000,
  silenceMsMax: 120_000,
  rememberMs: 6 * 3_600_000,
  clientsMax: 100_000,
};
