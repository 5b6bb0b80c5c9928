// From what the metadata answers to what RabbitMQ would say of it. Codes that only one method meets are mapped there.
import type { MetadataResult } from '../../../broker/ports.ts';
import { type Named, type Refusal, refusals } from '../codec/index.ts';

type NotDone = Exclude<MetadataResult, { readonly kind: 'ok' }>;

/** `what`: the thing that the change was about. */
export function refuseResult(result: NotDone, what?: Named): Refusal {
  if (result.kind === 'unavailable') {
    return [
      'INTERNAL_ERROR',
      `the metadata of the cluster cannot be changed now: ${result.message}`,
    ];
  }
  switch (result.code) {
    case 'default-exchange':
      return refusals.defaultExchange();
    case 'unknown-exchange':
      return refusals.noExchange(what?.name ?? '', what?.vhost ?? '');
    case 'unknown-destination':
      return refusals.noQueue(what?.name ?? '', what?.vhost ?? '');
    case 'invalid-name':
      return ['PRECONDITION_FAILED', `invalid name '${what?.name ?? ''}': ${result.message}`];
    case 'invalid-replication-factor':
    case 'invalid-config':
      return ['PRECONDITION_FAILED', `queue '${what?.name ?? ''}': ${result.message}`];
    default:
      return ['INTERNAL_ERROR', `${result.code}: ${result.message}`];
  }
}
