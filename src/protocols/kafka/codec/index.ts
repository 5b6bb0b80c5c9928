// The whole offer of the Kafka codec: a session, a simulated client and a bench need nothing else.
export * from './apis.ts';
export * from './kafka-codec.ts';
export type {
  Api,
  RequestInput,
  RequestOf,
  ResponseInput,
  ResponseOf,
} from './row-types.ts';
export {
  type Cut,
  ITEMS_MAX,
  KafkaCodecError,
  type KafkaCodecErrorCode,
  type RecordsRef,
  WireReader,
  WireWriter,
} from './wire.ts';
