// What routing tables of a vhost hear of committed metadata: exchanges, bindings, and which names are
// destinations that anybody may publish to.
import type { MetadataChange } from '../metadata/commands.ts';
import type { RouteChange } from '../ports.ts';

/** The routes among the changes, in their order. */
export function routeChanges(vhost: string, changes: readonly MetadataChange[]): RouteChange[] {
  const found: RouteChange[] = [];
  for (const change of changes) {
    const route = routeChange(vhost, change);
    if (route !== undefined) found.push(route);
  }
  return found;
}

function routeChange(vhost: string, change: MetadataChange): RouteChange | undefined {
  switch (change.kind) {
    case 'exchange-created': {
      const { kind, exchange } = change;
      return exchange.vhost === vhost ? { kind, exchange } : undefined;
    }
    case 'exchange-deleted':
      return change.vhost === vhost ? { kind: change.kind, name: change.name } : undefined;
    case 'binding-created':
    case 'binding-deleted': {
      const { kind, binding } = change;
      return binding.vhost === vhost ? { kind, binding } : undefined;
    }
    case 'destination-created': {
      const isOurs = change.vhost === vhost && !change.isInternal;
      return isOurs ? { kind: 'queue-created', name: change.name } : undefined;
    }
    case 'destination-deleted':
      return change.vhost === vhost ? { kind: 'queue-deleted', name: change.name } : undefined;
    default:
      return undefined;
  }
}
