// Frames of the Kafka protocol: size i32, header, body, in both directions and for both ends, so
// that servers, simulated clients and benches speak through one table. Schemas are compiled at
// first use and kept in the codec object; make one per connection owner (a shard), not one per
// connection.
import { BytesError } from '../../../std/bytes.ts';
import { apiByKey, hasFlexibleResponseHeader, isFlexible } from './apis.ts';
import { compileStruct, HEADER_STRING, NO_FIELDS, type Part } from './compile.ts';
import type { Api, RequestInput, RequestOf, ResponseInput, ResponseOf } from './row-types.ts';
import { KafkaCodecError, WireReader, type WireWriter } from './wire.ts';

/** Bytes before the header: the size of the rest. */
export const FRAME_PREFIX_BYTES = 4;
/** Key, version and correlation id: what every request has, whatever its version. */
const HEADER_BYTES_MIN = 8;

/**
 * The start of a request. `unsupported`: this key or version has no schema here. Its correlation id
 * is known, which is all that the answer to an ApiVersions of the future needs (KIP-511); for any
 * other key the connection is closed.
 */
export type RequestHeader =
  | {
      readonly kind: 'request';
      readonly api: Api;
      readonly version: number;
      readonly correlationId: number;
      readonly clientId: string | null;
      /** Where the body starts. */
      readonly bodyAt: number;
    }
  | {
      readonly kind: 'unsupported';
      readonly apiKey: number;
      readonly version: number;
      readonly correlationId: number;
    };

export interface Response<T> {
  readonly correlationId: number;
  readonly body: T;
}

export class KafkaCodec {
  readonly #requests = new Map<Api, Part[]>();
  readonly #responses = new Map<Api, Part[]>();

  /**
   * Reads the header of the request in bytes[at, end), behind its size. Throws {@link
   * KafkaCodecError} if it is cut or not a header.
   */
  readRequestHeader(bytes: Uint8Array, at: number, end: number): RequestHeader {
    const reader = new WireReader(bytes, at, end);
    return guarded(() => {
      reader.at = reader.take(HEADER_BYTES_MIN);
      const apiKey = reader.i16();
      const version = reader.i16();
      const correlationId = reader.i32();
      const api = apiByKey(apiKey);
      if (api === undefined || version < api.versionMin || version > api.versionMax) {
        return { kind: 'unsupported', apiKey, version, correlationId };
      }
      const clientId = HEADER_STRING.read(reader) as string | null;
      if (isFlexible(api, version)) NO_FIELDS.read(reader);
      return { kind: 'request', api, version, correlationId, clientId, bodyAt: reader.at };
    });
  }

  /**
   * Reads a request body from bytes[at, end). Views in it are lent with the bytes. Bytes behind the
   * body are ignored, as Kafka does. Throws {@link KafkaCodecError}.
   */
  decodeRequest<A extends Api>(
    api: A,
    version: number,
    bytes: Uint8Array,
    at: number,
    end: number,
  ): RequestOf<A> {
    const part = this.requestPart(api, version);
    const reader = new WireReader(bytes, at, end);
    return guarded(() => part.read(reader)) as RequestOf<A>;
  }

  /** Appends a whole request frame to `writer`. For clients. */
  encodeRequest<A extends Api>(
    api: A,
    version: number,
    correlationId: number,
    clientId: string | null,
    body: RequestInput<A>,
    writer: WireWriter,
  ): void {
    const part = this.requestPart(api, version);
    writeFrame(writer, () => {
      writer.u16(api.key);
      writer.u16(version);
      writer.u32(correlationId);
      HEADER_STRING.write(writer, clientId);
      if (isFlexible(api, version)) writer.u8(0);
      part.write(writer, body);
    });
  }

  /**
   * Appends a whole response frame to `writer`. Records given as a `RecordsRef` are counted in the
   * sizes and left out of the bytes: send `writer.segments()`.
   */
  encodeResponse<A extends Api>(
    api: A,
    version: number,
    correlationId: number,
    body: ResponseInput<A>,
    writer: WireWriter,
  ): void {
    const part = this.responsePart(api, version);
    writeFrame(writer, () => {
      writer.u32(correlationId);
      if (hasFlexibleResponseHeader(api, version)) writer.u8(0);
      part.write(writer, body);
    });
  }

  /** Reads a response (header and body) from bytes[at, end), behind its size. For clients. */
  decodeResponse<A extends Api>(
    api: A,
    version: number,
    bytes: Uint8Array,
    at: number,
    end: number,
  ): Response<ResponseOf<A>> {
    const part = this.responsePart(api, version);
    const reader = new WireReader(bytes, at, end);
    return guarded(() => {
      const correlationId = reader.i32();
      if (hasFlexibleResponseHeader(api, version)) NO_FIELDS.read(reader);
      return { correlationId, body: part.read(reader) as ResponseOf<A> };
    });
  }

  /**
   * The compiled body of a request. Throws {@link KafkaCodecError} for a version without a schema.
   */
  requestPart(api: Api, version: number): Part {
    return compiled(this.#requests, api, version, api.request);
  }

  /**
   * The compiled body of a response. Throws {@link KafkaCodecError} for a version without a schema.
   */
  responsePart(api: Api, version: number): Part {
    return compiled(this.#responses, api, version, api.response);
  }
}

function compiled(cache: Map<Api, Part[]>, api: Api, version: number, rows: Api['request']): Part {
  let parts = cache.get(api);
  if (parts === undefined) {
    parts = [];
    cache.set(api, parts);
  }
  let part = parts[version];
  if (part === undefined) {
    if (!(version >= api.versionMin && version <= api.versionMax)) {
      throw new KafkaCodecError('KAFKA_UNSUPPORTED_VERSION', `no schema of ${api.name}`, {
        version,
      });
    }
    part = compileStruct(rows, version, isFlexible(api, version));
    parts[version] = part;
  }
  return part;
}

/** Runs a decoder; whatever is wrong with the bytes comes out as one type. */
function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof BytesError ? KafkaCodecError.fromBytes(error) : error;
  }
}

/** Writes a size and what it counts. If that fails, the frames before it are as they were. */
function writeFrame(writer: WireWriter, write: () => void): void {
  const { size, cutBytes } = writer;
  const cutCount = writer.cuts.length;
  try {
    writer.reserve(FRAME_PREFIX_BYTES);
    write();
  } catch (error) {
    writer.size = size;
    writer.cuts.length = cutCount;
    writer.cutBytes = cutBytes;
    throw error;
  }
  const written = writer.size - size - FRAME_PREFIX_BYTES;
  writer.patchU32(size, written + writer.cutBytes - cutBytes);
}
