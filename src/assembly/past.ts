// What a node's folder may have forgotten of the metadata group: it was put back to an earlier state, or what Raft
// remembers in it is damaged or gone. Unreadable is not empty: such a node says nothing, and joins as a newcomer.
import type { MetadataServiceConfig } from '../cluster/metadata-shell/metadata-service.ts';
import type { KnownLife } from '../cluster/metadata-shell/past-check.ts';
import type { StoredLog } from '../storage/api.ts';
import type { NodeIdentity } from './identity.ts';
import { MetadataLostError } from './node-errors.ts';

export interface PastOptions {
  readonly identity: NodeIdentity;
  /** Raft's log. */
  readonly stored: StoredLog;
  /** All other members. */
  readonly others: readonly number[];
  readonly root: string;
  onForgotten(known: KnownLife, isLost: boolean): void;
}

/** A new folder promised nothing that it could have forgotten. Throws NODE_METADATA_LOST where nobody else has it. */
export function pastOf(options: PastOptions): Pick<MetadataServiceConfig, 'past'> {
  const { identity, others, root, stored, onForgotten } = options;
  const { isNewFolder, nodeId, dataIncarnation, toldBoot } = identity;
  if (isNewFolder) return {};
  const isLost = isMemoryLost(identity, stored);
  if (isLost && others.length === 0) throw new MetadataLostError(nodeId, root, true);
  const isForgotten = (known: KnownLife) =>
    isLost ||
    known.incarnation > dataIncarnation ||
    (known.incarnation === dataIncarnation &&
      (known.isRemoved === true || known.bootCounter > toldBoot));
  return {
    past: {
      others,
      isLost,
      isForgotten,
      onForgotten: (known) => onForgotten(known, isLost),
    },
  };
}

/**
 * Damage below what was durable, which no unfinished write explains; or nothing at all, although the cluster was
 * told of this very peer, and that was done by a log with entries in it.
 */
function isMemoryLost({ incarnation, toldAs }: NodeIdentity, stored: StoredLog): boolean {
  return stored.needsRepair || (stored.endSeq === 0 && toldAs === incarnation);
}
