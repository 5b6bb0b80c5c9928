// ApiVersions: what is served. From version 3 the client says what software it is, by a strict pattern.
import type { ApiVersions } from '../codec/index.ts';
import { KafkaErrorCode as E } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { API_KEYS } from '../versions.ts';

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

export function apiVersions(exchange: Exchange<typeof ApiVersions>): void {
  const { clientSoftwareName, clientSoftwareVersion } = exchange.body;
  const isNamed = SOFTWARE.test(clientSoftwareName) && SOFTWARE.test(clientSoftwareVersion);
  if (exchange.version >= 3 && !isNamed) {
    exchange.respond({ errorCode: E.INVALID_REQUEST, apiKeys: [] });
    return;
  }
  exchange.respond({ errorCode: E.NONE, apiKeys: API_KEYS });
}
