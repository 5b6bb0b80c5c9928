// What routing tables hear of committed metadata, each of its vhost: exchanges, bindings, and which names are
// destinations that anybody may publish to.
import { kindOfVhost } from '../metadata/actor-kinds.ts';
import type { MetadataChange } from '../metadata/commands.ts';
import type { RouteChange } from '../ports.ts';

interface Routed {
  readonly vhost: string;
  readonly route: RouteChange;
}

/** The routes among the changes by vhost, those of each in their order. */
export function routeChanges(
  changes: readonly MetadataChange[],
): ReadonlyMap<string, readonly RouteChange[]> {
  const found = new Map<string, RouteChange[]>();
  for (const change of changes) {
    const routed = routeChange(change);
    // Nobody publishes to an actor of an application.
    if (routed === undefined || kindOfVhost(routed.vhost) !== undefined) continue;
    const others = found.get(routed.vhost);
    if (others === undefined) found.set(routed.vhost, [routed.route]);
    else others.push(routed.route);
  }
  return found;
}

function routeChange(change: MetadataChange): Routed | undefined {
  switch (change.kind) {
    case 'exchange-created': {
      const { kind, exchange } = change;
      return { vhost: exchange.vhost, route: { kind, exchange } };
    }
    case 'binding-created':
    case 'binding-deleted': {
      const { kind, binding } = change;
      return { vhost: binding.vhost, route: { kind, binding } };
    }
    case 'exchange-deleted': {
      const { kind, vhost, name } = change;
      return { vhost, route: { kind, name } };
    }
    case 'destination-created': {
      const { vhost, name, isInternal } = change;
      return isInternal ? undefined : { vhost, route: { kind: 'queue-created', name } };
    }
    case 'destination-deleted': {
      const { vhost, name } = change;
      return { vhost, route: { kind: 'queue-deleted', name } };
    }
    default:
      return undefined;
  }
}
