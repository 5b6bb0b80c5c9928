// Heartbeat, NotifyClientTermination and Telemetry: who is there. A client that this node has never heard of,
// or has forgotten, is taken for what it says it is; nobody has to start over because a node did.
import { GrpcStatus } from '../../../../env/grpc.ts';
import type { Client } from '../clients.ts';
import type { Exchange, Handled } from '../exchange.ts';
import { groupName } from '../names.ts';
import type { DecodedOf } from '../proto/index.ts';
import { Refusal, statusOf } from '../refusal.ts';
import { ClientType, Code } from '../schema/enums.ts';
import type { HeartbeatRequest, TelemetryCommand } from '../schema/service.ts';
import { settingsFor } from '../settings.ts';

const NO_ID = new Refusal(Code.CLIENT_ID_REQUIRED, 'a client has an id');

/** Undefined for the types that are served. */
function refuseType(type: number): Refusal | undefined {
  if (type === ClientType.PRODUCER || type === ClientType.SIMPLE_CONSUMER) return undefined;
  const name = Object.entries(ClientType).find(([, value]) => value === type)?.[0];
  if (name === undefined || type === ClientType.CLIENT_TYPE_UNSPECIFIED) {
    return new Refusal(Code.UNRECOGNIZED_CLIENT_TYPE, 'no such type of client');
  }
  return new Refusal(Code.NOT_IMPLEMENTED, `clients of type ${name} are not served yet`);
}

export function heartbeat(
  exchange: Exchange,
  request: DecodedOf<typeof HeartbeatRequest>,
): Handled {
  const { clientId } = exchange.context;
  if (clientId === '') return NO_ID;
  const refusal = refuseType(request.clientType);
  if (refusal !== undefined) return refusal;
  const isProducer = request.clientType === ClientType.PRODUCER;
  const group = isProducer ? '' : groupName(request.group);
  if (group instanceof Refusal) return group;
  const client = exchange.home.client(clientId, exchange.now);
  client.type = request.clientType;
  client.group = group;
  exchange.done();
  return undefined;
}

export function notifyClientTermination(exchange: Exchange): Handled {
  const { clientId } = exchange.context;
  if (clientId === '') return NO_ID;
  exchange.home.forgetClient(clientId);
  exchange.done();
  return undefined;
}

/** One message of a telemetry stream. Settings are answered at once, every time. */
export function telemetry(
  exchange: Exchange,
  command: DecodedOf<typeof TelemetryCommand>,
): Handled {
  const { clientId } = exchange.context;
  const { settings } = command;
  if (clientId === '') exchange.fail(GrpcStatus.INVALID_ARGUMENT, 'x-mq-client-id is missing');
  // Whatever else a client may say here answers a command, and none is ever sent.
  else if (settings !== undefined) {
    const client = exchange.home.client(clientId, exchange.now);
    client.streams.add(exchange.call);
    const refusal = adopt(client, settings);
    if (refusal === undefined) {
      exchange.send({ settings: settingsFor(exchange.home, client, settings) });
    } else exchange.send({ status: statusOf(refusal) });
  }
  return undefined;
}

function adopt(
  client: Client,
  settings: NonNullable<DecodedOf<typeof TelemetryCommand>['settings']>,
): Refusal | undefined {
  const type = settings.clientType ?? ClientType.CLIENT_TYPE_UNSPECIFIED;
  const refusal = refuseType(type);
  if (refusal !== undefined) return refusal;
  let group = '';
  if (type === ClientType.SIMPLE_CONSUMER) {
    const named = groupName(settings.subscription?.group);
    if (named instanceof Refusal) return named;
    group = named;
  }
  client.type = type;
  client.group = group;
  return undefined;
}
