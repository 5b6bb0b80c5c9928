// Does to a cluster what the schedule says, and takes it back. One entry is over when all its parts are.
import { delay } from '../../lib/dev-cluster.mjs';

/** Ordered pairs of nodes between which nothing arrives. */
function cutsOf({ kind, node, other }, ids) {
  const others = ids.filter((id) => id !== node);
  switch (kind) {
    case 'cut':
      return [[node, other]];
    case 'bridge':
      return [
        [node, other],
        [other, node],
      ];
    case 'mute':
      return others.map((id) => [node, id]);
    case 'deafen':
      return others.map((id) => [id, node]);
    default:
      return others.flatMap((id) => [
        [node, id],
        [id, node],
      ]);
  }
}

async function perform(nodes, part) {
  const { kind, node, lengthMs, isReset } = part;
  if (kind === 'kill' || kind === 'killAll') {
    const victims = kind === 'kill' ? [node] : nodes.ids;
    await Promise.all(victims.map((id) => nodes.kill(id)));
    await delay(lengthMs);
    await Promise.all(victims.map((id) => nodes.begin(id)));
  } else if (kind === 'pause') {
    nodes.signal(node, 'SIGSTOP');
    await delay(lengthMs);
    nodes.signal(node, 'SIGCONT');
  } else if (kind === 'fill') {
    const empty = nodes.fill(node);
    await delay(lengthMs);
    empty();
  } else {
    const cuts = cutsOf(part, nodes.ids);
    for (const [from, to] of cuts) nodes.network.cut(from, to);
    await delay(lengthMs);
    for (const [from, to] of cuts) nodes.network.heal(from, to, isReset);
  }
}

/** `tell(part, startMs, endMs)` when a part is over; milliseconds as `performance.now` has them. */
export async function inflict(nodes, { parts }, tell) {
  await Promise.all(
    parts.map(async (part) => {
      await delay(part.afterMs);
      const startMs = performance.now();
      await perform(nodes, part);
      tell(part, startMs, performance.now());
    }),
  );
}
