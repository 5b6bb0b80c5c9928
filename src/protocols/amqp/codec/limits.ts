// How much a frame reader takes from one peer.
export interface ReaderLimits {
  /** frame_max that the server offers, bytes; a frame of this payload is still taken, as RabbitMQ does. */
  readonly frameBytesMax: number;
  /** The same before connection.tune-ok. */
  readonly firstFrameBytesMax: number;
  /** Larger messages close their channel with 406; nothing of them is kept. */
  readonly messageBytesMax: number;
  /** Memory for unfinished messages and frames of one connection; beyond it the connection is closed with 506. */
  readonly heldBytesMax: number;
}

export const READER_LIMITS: ReaderLimits = {
  frameBytesMax: 128 * 1024,
  firstFrameBytesMax: 8 * 1024,
  messageBytesMax: 16 * 1024 * 1024,
  heldBytesMax: 64 * 1024 * 1024,
};

/** frame-min-size of the specification: nobody may ask for less. */
export const FRAME_BYTES_MIN = 4096;
/** What RabbitMQ never goes beyond: a content header that claims more closes the connection. */
export const MESSAGE_BYTES_CEILING = 512 * 1024 * 1024;
