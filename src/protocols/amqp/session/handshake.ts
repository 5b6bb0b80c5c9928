// What both sides say before the first channel: what the server tells of itself, what it makes of the client's
// properties, and which limits they agree on. Texts and rules: rabbit_reader.erl.
import { encodeUtf8 } from '../../../std/bytes.ts';
import {
  type FieldTable,
  FRAME_BYTES_MIN,
  fieldOf,
  type MethodArgs,
  type MethodInput,
  type Refusal,
  tableOf,
} from '../codec/index.ts';
import { MECHANISMS } from './credentials.ts';

/** What the server offers; the client may ask for less. */
export interface TuneOffer {
  readonly channelMax: number;
  readonly frameBytesMax: number;
  readonly heartbeatSeconds: number;
}

export interface ServerFacts {
  readonly version: string;
  readonly clusterId: string;
}

/** True of this server. Direct reply-to is not here yet, and clients are told so. */
const CAPABILITIES = {
  publisher_confirms: true,
  exchange_exchange_bindings: true,
  'basic.nack': true,
  consumer_cancel_notify: true,
  'connection.blocked': true,
  consumer_priorities: true,
  authentication_failure_close: true,
  per_consumer_qos: true,
  direct_reply_to: false,
} as const;

export function startOf({ version, clusterId }: ServerFacts): MethodInput<'connection.start'> {
  const serverProperties = tableOf({
    capabilities: CAPABILITIES,
    cluster_name: clusterId,
    information: 'AMQP 0-9-1 with the extensions of RabbitMQ',
    platform: 'Node.js',
    product: 'Callboard',
    version,
  });
  return {
    versionMajor: 0,
    versionMinor: 9,
    serverProperties,
    mechanisms: encodeUtf8(MECHANISMS.join(' ')),
    locales: encodeUtf8('en_US'),
  };
}

/** What a client can do and is called. */
export interface ClientFacts {
  readonly name: string | undefined;
  /** Takes a close with 403 where its login is refused. */
  readonly hearsRefusals: boolean;
  /** Takes basic.cancel from the server. */
  readonly hearsCancels: boolean;
  /** Takes connection.blocked. */
  readonly hearsBlocks: boolean;
}

export function clientFacts(properties: FieldTable): ClientFacts {
  const name = fieldOf(properties, 'connection_name');
  const capabilities = fieldOf(properties, 'capabilities');
  const table = capabilities?.type === 'table' ? capabilities.value : [];
  const can = (capability: string): boolean => {
    const value = fieldOf(table, capability);
    return value?.type === 'bool' && value.value;
  };
  return {
    name: name?.type === 'longstr' && typeof name.value === 'string' ? name.value : undefined,
    hearsRefusals: can('authentication_failure_close'),
    hearsCancels: can('consumer_cancel_notify'),
    hearsBlocks: can('connection.blocked'),
  };
}

/** Undefined: what the client wants is within the offer. */
export function refuseTune(
  { channelMax, frameMax }: MethodArgs<'connection.tune-ok'>,
  offer: TuneOffer,
): Refusal | undefined {
  return (
    refuseValue('frame_max', frameMax, FRAME_BYTES_MIN, offer.frameBytesMax) ??
    refuseValue('channel_max', channelMax, 1, offer.channelMax)
  );
}

/** 0 stands for no limit at all, which is more than any. */
function refuseValue(field: string, value: number, min: number, max: number): Refusal | undefined {
  const isAbove = value === 0 || value > max;
  if (!isAbove && value >= min) return undefined;
  const shown = field === 'channel_max' && value === 0 ? '0 (no limit)' : String(value);
  const rule = isAbove
    ? `higher than the maximum allowed value (${max})`
    : `lower than the minimum allowed value (${min})`;
  return ['NOT_ALLOWED', `negotiated ${field} = ${shown} is ${rule}`];
}
