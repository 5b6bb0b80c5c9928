// Where the log hosts are: on which node, on which thread. Any thread of any node may ask.
import type { Ref } from '../actors/ref.ts';
import type { System } from '../actors/system.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { threadOfLog } from '../cluster/metadata-shell/shard-directory.ts';
import { type LogHostOps, LogHostProtocol } from '../cluster/ports.ts';
import { SLOT_LOG_HOST } from '../cluster/slots.ts';

/** Refs to the log hosts of this node's shards, made once per thread. */
export function hostRefs(
  system: System,
  replica: MetadataReplica,
): (node: number, logId: number) => Ref<LogHostOps> | undefined {
  const refs = new Map<string, Ref<LogHostOps>>();
  return (node, logId) => {
    const record = replica.image.node(node);
    if (record === undefined || replica.image.log(logId) === undefined) return undefined;
    const thread = threadOfLog(record, logId);
    const key = `${node}/${thread}`;
    let ref = refs.get(key);
    if (ref === undefined) {
      ref = system.wellKnown(LogHostProtocol, { node, thread, slot: SLOT_LOG_HOST });
      refs.set(key, ref);
    }
    return ref;
  };
}
