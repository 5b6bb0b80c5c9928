// Which replicas lie where: who takes the place of a node that is gone, and which moves make replicas and leaders even.
// Pure; plans over the image as it is, and counts what it has planned. A log that moves already is left alone.
import { canHost } from '../metadata/apply-leaving.ts';
import type { LogRecord, MetadataImage, NodeRecord } from '../metadata/index.ts';
import { assignedOf, isReassigning } from '../metadata/index.ts';
import { mirrorsOf } from '../metadata/mirrors.ts';
import { staysOnItsNode } from '../metadata/roles.ts';

/** Within a tenth of even, or one. */
const UNEVEN_PART = 0.1;

export interface Move {
  readonly logId: number;
  readonly replicas: readonly number[];
}

/** Replicas that each node has or is to have; those that leave are not counted. */
export class Load {
  readonly #counts = new Map<number, number>();
  /** Nodes that copy a log now: they are given no second one meanwhile. */
  readonly busy = new Set<number>();

  constructor(image: MetadataImage) {
    for (const { id } of image.nodes()) this.#counts.set(id, image.hostedCount(id));
    for (const logId of image.reassigningLogs()) {
      const log = image.log(logId)!;
      for (const node of log.adding) this.busy.add(node);
      for (const node of log.removing) this.add(node, -1);
    }
  }

  of(node: number): number {
    return this.#counts.get(node) ?? 0;
  }

  add(node: number, count: number): void {
    this.#counts.set(node, this.of(node) + count);
  }
}

/** Who has fewest replicas, in a rack that the others are not in if there is one; undefined: nobody can now. */
export function replacementFor(
  image: MetadataImage,
  log: LogRecord,
  gone: number,
  load: Load,
): Move | undefined {
  const assigned = assignedOf(log);
  const others = assigned.filter((node) => node !== gone);
  const racks = new Set(others.map((node) => image.node(node)?.rack));
  const isSameRack = ({ rack }: NodeRecord) => rack !== undefined && racks.has(rack);
  const able = image
    .placeableNodes()
    .filter((node) => !log.replicas.includes(node.id) && canHost(node, log));
  const apart = able.filter((node) => !isSameRack(node));
  // Better later in another rack than now in the same.
  const [best] = (apart.length > 0 ? apart : able)
    .filter(({ id }) => !load.busy.has(id))
    .sort((a, b) => load.of(a.id) - load.of(b.id) || a.id - b.id);
  if (best === undefined) return undefined;
  return { logId: log.logId, replicas: assigned.map((node) => (node === gone ? best.id : node)) };
}

function isUneven(most: number, least: number, mean: number): boolean {
  return most - least > Math.max(1, Math.floor(mean * UNEVEN_PART));
}

/** Moves that make it more even, at most one for each node that would copy; none: it is even, or as even as it gets. */
export function evenMoves(image: MetadataImage, load: Load, most: number): readonly Move[] {
  const nodes = image.placeableNodes();
  const movable = image.logs().filter((log) => {
    if (isReassigning(log) || log.leader < 0 || staysOnItsNode(image, log)) return false;
    // The nodes of a mirrored queue are its policy's business.
    return mirrorsOf(image, log) === undefined;
  });
  const moves = replicaMoves(image, nodes, movable, load, most);
  // Leaders are looked at when replicas lie where they are to lie.
  return moves.length > 0 || image.reassigningLogs().length > 0
    ? moves
    : leaderMoves(image, nodes, movable, most);
}

function replicaMoves(
  image: MetadataImage,
  nodes: readonly NodeRecord[],
  movable: readonly LogRecord[],
  load: Load,
  most: number,
): Move[] {
  const moves: Move[] = [];
  const moved = new Set<number>();
  const mean = nodes.reduce((sum, { id }) => sum + load.of(id), 0) / Math.max(1, nodes.length);
  while (moves.length < most) {
    const byLoad = [...nodes].sort((a, b) => load.of(a.id) - load.of(b.id) || a.id - b.id);
    const move = oneReplicaMove(image, byLoad, mean, movable, moved, load);
    if (move === undefined) return moves;
    moves.push(move);
    moved.add(move.logId);
  }
  return moves;
}

function oneReplicaMove(
  image: MetadataImage,
  byLoad: readonly NodeRecord[],
  mean: number,
  movable: readonly LogRecord[],
  moved: ReadonlySet<number>,
  load: Load,
): Move | undefined {
  for (const to of byLoad) {
    if (load.busy.has(to.id)) continue;
    for (const from of [...byLoad].reverse()) {
      if (!isUneven(load.of(from.id), load.of(to.id), mean)) break;
      const log = movable.find((each) => {
        const { replicas, logId } = each;
        const isThere = replicas.includes(from.id) && !replicas.includes(to.id);
        return (
          isThere && !moved.has(logId) && canHost(to, each) && isRackKept(image, each, from, to)
        );
      });
      if (log === undefined) continue;
      load.add(from.id, -1);
      load.add(to.id, 1);
      load.busy.add(to.id);
      const replicas = log.replicas.map((node) => (node === from.id ? to.id : node));
      return { logId: log.logId, replicas };
    }
  }
  return undefined;
}

/** Replicas of one log lie in as many racks as before. */
function isRackKept(
  image: MetadataImage,
  { replicas }: LogRecord,
  from: NodeRecord,
  to: NodeRecord,
): boolean {
  const others = replicas.filter((node) => node !== from.id).map((node) => image.node(node)?.rack);
  return to.rack === undefined || !others.includes(to.rack) || others.includes(from.rack);
}

/** Another order of replicas: the first of them is the one that leads. */
function leaderMoves(
  image: MetadataImage,
  nodes: readonly NodeRecord[],
  movable: readonly LogRecord[],
  most: number,
): Move[] {
  const counts = new Map<number, number>(nodes.map(({ id }) => [id, 0]));
  for (const log of image.logs()) {
    const first = assignedOf(log)[0]!;
    if (counts.has(first)) counts.set(first, counts.get(first)! + 1);
  }
  const order = new Map<number, readonly number[]>(
    movable.filter(({ replicas }) => replicas.length > 1).map((log) => [log.logId, log.replicas]),
  );
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const mean = total / Math.max(1, counts.size);
  const changed = new Map<number, readonly number[]>();
  while (changed.size < most) {
    const byCount = [...counts].sort(([a, x], [b, y]) => x - y || a - b);
    const path = leaderPath(byCount, mean, order);
    if (path === undefined) break;
    for (const { logId, from, to } of path) {
      const before = order.get(logId)!;
      const next = [to, ...before.filter((node) => node !== to)];
      order.set(logId, next);
      changed.set(logId, next);
      counts.set(from, counts.get(from)! - 1);
      counts.set(to, counts.get(to)! + 1);
    }
  }
  return [...changed].map(([logId, replicas]) => ({ logId, replicas }));
}

interface Step {
  readonly logId: number;
  readonly from: number;
  readonly to: number;
}

/** From a node that leads most to one that leads least, by way of others where they share no log. */
function leaderPath(
  byCount: readonly (readonly [node: number, count: number])[],
  mean: number,
  order: ReadonlyMap<number, readonly number[]>,
): readonly Step[] | undefined {
  for (const [target, least] of byCount) {
    for (const [source, most] of [...byCount].reverse()) {
      if (!isUneven(most, least, mean)) break;
      const path = search(source, target, order, new Set(byCount.map(([node]) => node)));
      if (path !== undefined) return path;
    }
  }
  return undefined;
}

function search(
  source: number,
  target: number,
  order: ReadonlyMap<number, readonly number[]>,
  nodes: ReadonlySet<number>,
): readonly Step[] | undefined {
  const cameBy = new Map<number, Step | undefined>([[source, undefined]]);
  const queue = [source];
  for (let at = queue.shift(); at !== undefined && !cameBy.has(target); at = queue.shift()) {
    for (const [logId, [first, ...others]] of order) {
      if (first !== at) continue;
      for (const to of others) {
        if (!nodes.has(to) || cameBy.has(to)) continue;
        cameBy.set(to, { logId, from: at, to });
        queue.push(to);
      }
    }
  }
  if (!cameBy.has(target)) return undefined;
  const path: Step[] = [];
  for (let step = cameBy.get(target); step !== undefined; step = cameBy.get(step.from)) {
    path.unshift(step);
  }
  return path;
}
