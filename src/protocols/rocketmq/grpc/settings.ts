// What a client is told about itself when it has said what it is: its own words, and the server's where the
// server decides. The numbers are the official proxy's.
import type { Client } from './clients.ts';
import type { ExchangeHome } from './exchange.ts';
import type { DecodedOf, EncodableOf } from './proto/index.ts';
import type { Settings } from './schema/definition.ts';
import { ClientType } from './schema/enums.ts';
import { partsOfMs } from './times.ts';

const PRODUCER_ATTEMPTS = 3;
const PRODUCER_BACKOFF_MS = { initial: 10, max: 1000, multiplier: 2 };

export function settingsFor(
  { picture, limits }: ExchangeHome,
  client: Client,
  told: DecodedOf<typeof Settings>,
): EncodableOf<typeof Settings> {
  const common = {
    clientType: client.type,
    accessPoint: told.accessPoint,
    requestTimeout: told.requestTimeout,
    userAgent: told.userAgent,
    // Present, and off: some clients do not look whether it is there.
    metric: { on: false },
  };
  if (client.type === ClientType.PRODUCER) {
    return {
      ...common,
      backoffPolicy: {
        maxAttempts: PRODUCER_ATTEMPTS,
        exponentialBackoff: {
          initial: partsOfMs(PRODUCER_BACKOFF_MS.initial),
          max: partsOfMs(PRODUCER_BACKOFF_MS.max),
          multiplier: PRODUCER_BACKOFF_MS.multiplier,
        },
      },
      publishing: {
        topics: told.publishing?.topics ?? [],
        maxBodySize: limits.bodyBytesMax,
        validateMessageType: true,
      },
    };
  }
  const group = picture.group(client.group);
  return {
    ...common,
    backoffPolicy: {
      maxAttempts: group.deliveriesMax,
      customizedBackoff: { next: group.backoffMs.map(partsOfMs) },
    },
    subscription: {
      group: told.subscription?.group,
      subscriptions: told.subscription?.subscriptions ?? [],
      fifo: group.isFifo,
      receiveBatchSize: limits.receiveMessagesMax,
      longPollingTimeout: partsOfMs(limits.pollMsMax),
    },
  };
}
