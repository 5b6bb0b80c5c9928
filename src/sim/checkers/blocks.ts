// What publishers were told of a disk that has too little room, and what was confirmed meanwhile. Knows nothing of the
// broker: who was told what when, when somebody had taken the space of a device, and what was published.
//
//   blocked-twice  told so again without being told that it is over, or that it is over without having been told
//   unfounded      no disk has had too little room for a while
//   left           the connection lives, every disk has had room for a while, and nobody has said that it is over
//   taken          published while all disks had too little room, and confirmed before one had room again
import type { Violation } from '../scenario.ts';
import type { Publish } from './queue-history.ts';

export interface BlockEvent {
  readonly kind: 'blocked' | 'unblocked' | 'ended';
  readonly atMs: number;
  readonly connection: string;
}

/** From then until then; Infinity: it goes on. */
export type Period = readonly [fromMs: number, untilMs: number];

export interface BlockHistory {
  readonly events: readonly BlockEvent[];
  /** When any disk had too little room. */
  readonly shortages: readonly Period[];
  /** When all had, by a fault that nothing but its end ends. */
  readonly everywhere: readonly Period[];
  readonly publishes: readonly Publish[];
  /** Destinations that need no disk. */
  readonly unkept: ReadonlySet<string>;
  readonly endMs: number;
}

/** For a leader to see it, to be asked again and for its answer to come, through slow links and pauses. */
const BLOCK_LAG_MS = 30_000;
/** A leader asks its disk as often while it writes. */
export const LOOK_LAG_MS = 1_500;

export function checkBlocks(history: BlockHistory): Violation[] {
  return [...checkTold(history), ...checkTaken(history)];
}

function* checkTold({ events, shortages, endMs }: BlockHistory): Generator<Violation> {
  const since = new Map<string, number>();
  for (const { kind, atMs, connection } of events) {
    const where = `${connection} at ${atMs.toFixed(1)} ms`;
    const isBlocked = since.has(connection);
    if (kind !== 'ended' && isBlocked === (kind === 'blocked')) {
      yield { check: 'blocks/blocked-twice', message: `${where}: ${kind}` };
    }
    if (kind !== 'blocked') {
      since.delete(connection);
      continue;
    }
    since.set(connection, atMs);
    const isFounded = shortages.some(
      ([fromMs, untilMs]) => fromMs <= atMs && atMs <= untilMs + BLOCK_LAG_MS,
    );
    if (!isFounded) yield { check: 'blocks/unfounded', message: `${where}: no disk was short` };
  }
  const lastMs = Math.max(0, ...shortages.map(([, untilMs]) => untilMs));
  for (const [connection, atMs] of since) {
    if (endMs <= Math.max(lastMs, atMs) + BLOCK_LAG_MS) continue;
    yield { check: 'blocks/left', message: `${connection}: blocked since ${atMs.toFixed(1)} ms` };
  }
}

function* checkTaken({ publishes, everywhere, unkept }: BlockHistory): Generator<Violation> {
  for (const { id, outcome, queues, streams, beganMs = -1, endedMs = -1 } of publishes) {
    const isKept = [...queues, ...streams].some((name) => !unkept.has(name));
    if (outcome !== 'confirmed' || !isKept) continue;
    for (const [fromMs, untilMs] of everywhere) {
      if (beganMs < fromMs + LOOK_LAG_MS || endedMs >= untilMs) continue;
      const message = `${id}: published at ${beganMs.toFixed(1)} ms, when no disk had room, and confirmed`;
      yield { check: 'blocks/taken', message };
    }
  }
}
