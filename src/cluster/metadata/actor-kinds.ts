// Kinds of durable actors that applications bring to their nodes, and the vhost in which the actors of a kind are
// destinations. A node that brings a kind says so when it registers: nobody else is given a replica of its logs.
// Invariant: nodes that are live together bring the same under one name, and a node that comes back brings what it
// brought before, or a newer version: its logs were written with that.
import type { MetadataImage } from './image.ts';
import type { ActorKind } from './types.ts';

export const KINDS_MAX = 256;
/** Begins with what no name that a client chooses may have. */
const VHOST = '\u0001';

export function actorVhost(kind: string): string {
  return `${VHOST}${kind}`;
}

/** The kind of the actors in a vhost; undefined: it is one of clients. */
export function kindOfVhost(vhost: string): string | undefined {
  return vhost.startsWith(VHOST) ? vhost.slice(VHOST.length) : undefined;
}

export function isSameKind(a: ActorKind, b: ActorKind): boolean {
  return a.name === b.name && a.version === b.version && a.hash === b.hash;
}

function shown({ name, version, hash }: ActorKind): string {
  return `${name} version ${version} (${hash.toString(16).padStart(8, '0')})`;
}

/** Why a node that brings these kinds cannot be one of the cluster, or undefined. */
export function kindsFault(
  image: MetadataImage,
  node: number,
  kinds: readonly ActorKind[],
):
  | { readonly code: 'other-kind' | 'older-kind-live' | 'missing-kind'; readonly message: string }
  | undefined {
  for (const kind of kinds) {
    for (const other of image.nodes()) {
      const theirs = other.kinds.find(({ name }) => name === kind.name);
      if (theirs === undefined || isSameKind(kind, theirs)) continue;
      const isSelf = other.id === node;
      const whose = isSelf ? 'and brought' : `node ${other.id}`;
      const message = `node ${node} brings ${shown(kind)}, ${whose} ${shown(theirs)}`;
      // Whoever is down comes back with the new version, or is refused then.
      if (theirs.version >= kind.version) return { code: 'other-kind', message };
      if (!isSelf && !other.isFenced) return { code: 'older-kind-live', message };
    }
  }
  const missing = new Map<string, number>();
  for (const logId of image.logsOn(node)) {
    const kind = kindOfVhost(image.log(logId)!.vhost);
    if (kind === undefined || kinds.some(({ name }) => name === kind)) continue;
    missing.set(kind, (missing.get(kind) ?? 0) + 1);
  }
  for (const [kind, count] of missing) {
    const message = `node ${node} has replicas of ${count} actors of ${kind}, and does not bring it`;
    return { code: 'missing-kind', message };
  }
  return undefined;
}
