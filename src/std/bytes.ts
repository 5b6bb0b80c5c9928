// Everything about bytes under one name: fixed-width fields, UTF-8, ByteReader and ByteWriter.
export * from './byte-ops.ts';
export { ByteReader } from './byte-reader.ts';
export { ByteWriter } from './byte-writer.ts';
export { decodeUtf8, encodeUtf8, readUtf8, utf8Size, writeUtf8 } from './utf8.ts';
