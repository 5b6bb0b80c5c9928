// How a plan of the controller reaches the leaders that it is about: one message for each thread that owns some of them.
// A plan that gets lost has no effect; whoever made it looks again.
import type { System } from '../actors/system.ts';
import type { LeaderPlan } from '../cluster/controller/index.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { threadOfLog } from '../cluster/metadata-shell/shard-directory.ts';
import { PeerProtocol } from '../cluster/replica/peer-protocol.ts';
import { SLOT_PEERS } from '../cluster/slots.ts';

export function planTeller(
  system: System,
  { image }: MetadataReplica,
): (plans: readonly LeaderPlan[]) => void {
  return (plans) => {
    const byThread = new Map<string, { node: number; thread: number; moves: LeaderPlan[] }>();
    for (const plan of plans) {
      const node = image.node(plan.leader);
      if (node === undefined) continue;
      const thread = threadOfLog(node, plan.logId);
      const key = `${node.id}/${thread}`;
      const known = byThread.get(key) ?? { node: node.id, thread, moves: [] };
      known.moves.push(plan);
      byThread.set(key, known);
    }
    for (const { node, thread, moves } of byThread.values()) {
      const place = { node, thread, slot: SLOT_PEERS };
      const planned = moves.map(({ logId, epoch, target }) => ({ logId, epoch, target }));
      system.wellKnown(PeerProtocol, place).tell('planMoves', { moves: planned });
    }
  };
}
