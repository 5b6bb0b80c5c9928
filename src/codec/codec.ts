// What a codec is: one value that knows the size, the bytes and the shape of a type. Codecs
// describe messages between actors; they hold no state, and bad bytes end in a CodecError before
// anything is allocated for them.

import { ByteReader } from '../std/byte-reader.ts';
import { BytesError } from '../std/bytes.ts';
import { BrokerError } from '../std/errors.ts';

export type CodecErrorCode =
  | 'CODEC_TRUNCATED'
  | 'CODEC_BAD_VALUE'
  | 'CODEC_TRAILING_BYTES'
  | 'CODEC_OUT_OF_RANGE';

/**
 * `CODEC_OUT_OF_RANGE` comes from encoding a value that its codec cannot carry, every other code
 * from decoding bytes that are not what they should be.
 */
export class CodecError extends BrokerError {
  readonly code: CodecErrorCode;

  constructor(
    code: CodecErrorCode,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    cause?: unknown,
  ) {
    super(message, details, cause);
    this.code = code;
  }
}

export interface Codec<T> {
  /** Bytes that `encode` will write for `value`. */
  size(value: T): number;
  /** Writes at `at`, where `size(value)` bytes of room are, and returns the position behind. */
  encode(value: T, out: Uint8Array, at: number): number;
  /** Reads a value that takes exactly bytes[at, end). Throws {@link CodecError}. */
  decode(bytes: Uint8Array, at: number, end: number): T;
  /**
   * Reads a value and leaves the reader behind it, so that codecs compose. Throws {@link
   * CodecError} or BytesError. A caller on a hot path keeps one reader and calls this instead of
   * `decode`.
   */
  read(reader: ByteReader): T;
  /** The smallest size of any value: what bounds the count of an array. */
  readonly sizeMin: number;
  /** The wire form in words; two peers with equal shapes understand each other. */
  readonly shape: string;
}

/** The type that a codec carries. */
export type Value<C> = C extends Codec<infer T> ? T : never;

/** The parts of a codec that differ; `decode` follows from `read`. */
export interface CodecParts<T> {
  readonly shape: string;
  readonly sizeMin: number;
  size(value: T): number;
  encode(value: T, out: Uint8Array, at: number): number;
  read(reader: ByteReader): T;
}

/** Makes a codec from its parts. */
export function defineCodec<T>(parts: CodecParts<T>): Codec<T> {
  return {
    shape: parts.shape,
    sizeMin: parts.sizeMin,
    size: parts.size,
    encode: parts.encode,
    read: parts.read,
    decode: (bytes, at, end) => readWhole(parts, new ByteReader(bytes, at, end)),
  };
}

/**
 * Reads one value that fills the reader's range exactly. Throws only {@link CodecError}.
 * The form of `decode` for a caller that keeps its reader.
 */
export function readWhole<T>(codec: Pick<Codec<T>, 'read'>, reader: ByteReader): T {
  let value: T;
  try {
    value = codec.read(reader);
  } catch (error) {
    throw error instanceof BytesError ? fromBytesError(error) : error;
  }
  if (reader.at !== reader.end) {
    throw new CodecError('CODEC_TRAILING_BYTES', 'bytes behind the value', {
      at: reader.at,
      end: reader.end,
    });
  }
  return value;
}

function fromBytesError(error: BytesError): CodecError {
  const code = error.code === 'BYTES_TRUNCATED' ? 'CODEC_TRUNCATED' : 'CODEC_BAD_VALUE';
  return new CodecError(code, error.message, error.details, error);
}

/** For decoders: a value that its type does not have. */
export function badValue(shape: string, reader: ByteReader, value: unknown): CodecError {
  return new CodecError('CODEC_BAD_VALUE', `not a ${shape}`, { at: reader.at, value });
}

/** For encoders: a value that does not fit. */
export function outOfRange(shape: string, value: unknown): CodecError {
  return new CodecError('CODEC_OUT_OF_RANGE', `does not fit ${shape}`, { value });
}
