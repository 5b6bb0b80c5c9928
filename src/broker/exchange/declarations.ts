// Declarations on their way to the metadata: what routing could not honour, and names that are the cluster's
// own, are refused before they are proposed. Not in the metadata's own rules, which old and new nodes must apply alike.
import type {
  BindingView,
  ExchangeView,
  MetadataResult,
  MetadataService,
} from '../../cluster/ports.ts';
import { OWN_DESTINATIONS } from '../destination/kinds.ts';
import { decodeHeaderMatch } from './header-form.ts';
import { isExchangeType } from './types.ts';

export function withDeclarationRules(metadata: MetadataService): MetadataService {
  return {
    in: (vhost) => withDeclarationRules(metadata.in(vhost)),
    create: async (what, timeoutMs) =>
      (what.isInternal ? undefined : refuseName(what.name)) ?? metadata.create(what, timeoutMs),
    remove: (name, timeoutMs) => metadata.remove(name, timeoutMs),
    reassign: (logId, replicas, timeoutMs) => metadata.reassign(logId, replicas, timeoutMs),
    configure: (what, timeoutMs) => metadata.configure(what, timeoutMs),
    preferLeaders: (logIds, timeoutMs) => metadata.preferLeaders(logIds, timeoutMs),
    allowUnclean: (logId, timeoutMs) => metadata.allowUnclean(logId, timeoutMs),
    declareExchange: async (exchange, timeoutMs) =>
      refuseExchange(exchange) ?? metadata.declareExchange(exchange, timeoutMs),
    deleteExchange: (name, ifUnused, timeoutMs) =>
      metadata.deleteExchange(name, ifUnused, timeoutMs),
    bind: async (binding, timeoutMs) => refuseBinding(binding) ?? metadata.bind(binding, timeoutMs),
    unbind: (binding, timeoutMs) => metadata.unbind(binding, timeoutMs),
    declareQueue: async (queue, timeoutMs) =>
      refuseName(queue.name) ?? metadata.declareQueue(queue, timeoutMs),
    deleteQueue: (name, logId, timeoutMs) => metadata.deleteQueue(name, logId, timeoutMs),
    releaseOwner: (owner, timeoutMs) => metadata.releaseOwner(owner, timeoutMs),
  };
}

/** As if it were there already. */
function refuseName(name: string): MetadataResult | undefined {
  if (!OWN_DESTINATIONS.includes(name)) return undefined;
  return { kind: 'refused', code: 'exists', message: `${name} is the cluster's own` };
}

function refuseExchange({ type }: ExchangeView): MetadataResult | undefined {
  if (isExchangeType(type)) return undefined;
  return {
    kind: 'refused',
    code: 'unknown-exchange-type',
    message: `there is no exchange type "${type}"`,
  };
}

function refuseBinding({ headerMatch }: BindingView): MetadataResult | undefined {
  if (decodeHeaderMatch(headerMatch) !== undefined) return undefined;
  return { kind: 'refused', code: 'malformed', message: 'bytes that are no header match' };
}
