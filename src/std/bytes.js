// Everything about bytes under one name: fixed-width fields, UTF-8, ByteReader and ByteWriter.
export * from './byte-ops.js';
export { ByteReader } from './byte-reader.js';
export { ByteWriter } from './byte-writer.js';
export { decodeUtf8, encodeUtf8, readUtf8, utf8Size, writeUtf8 } from './utf8.js';
