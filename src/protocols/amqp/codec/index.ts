// The whole offer of the AMQP 0-9-1 codec: a session, a simulated client and a bench need nothing else.
export { BufferPool } from './buffer-pool.ts';
export * from './errors.ts';
export * from './field-table.ts';
export * from './field-values.ts';
export { FrameReader, type ReaderOptions } from './frame-reader.ts';
export * from './limits.ts';
export { METHOD_CODECS, MethodCodec, methodCodecById } from './method-codec.ts';
export type { MethodKind, Sender } from './method-rows.ts';
export * from './methods.ts';
export { OutgoingMessage } from './outgoing.ts';
export * from './properties.ts';
export { PROTOCOL_HEADER, PROTOCOL_HEADER_BYTES } from './protocol-header.ts';
export * from './refusals.ts';
export { TableWalk } from './table-walk.ts';
export * from './tape.ts';
export * from './writer.ts';
