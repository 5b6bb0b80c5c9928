// What a scenario allows to happen to it. The plan of a seed chooses among these; the budget keeps the sum
// within what the configured durability promises to survive.

import type { Device } from '../disk/device.ts';
import type { CountingRandom } from '../draws.ts';

export const FAULT_KINDS = [
  'kill',
  'power-cut',
  'power-cut-all',
  'kill-all',
  'wipe',
  'rollback',
  'pause',
  'reset',
  'cut-one-way',
  'isolate',
  'bridge',
  'split',
  'clog',
  'slow-link',
  'cut-client',
  'disk-stall',
  'disk-slow',
  'disk-full',
  'disk-low',
  'write-error',
  'sync-error',
  'lost-write',
  'misdirected-write',
  'bit-rot',
  'rot-at-rest',
  'clock-jump',
  'clock-rate',
  // Counts the deeds of a script; nothing that is drawn.
  'script',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultPolicy {
  /** Kinds that may be drawn. */
  readonly kinds: readonly FaultKind[];
  /** Mean virtual time between two faults of one kind, drawn log-uniformly from this range. */
  readonly meanMs: readonly [number, number];
  /** Servers that may be without a process at once, other than in a fault that names all. */
  readonly downMax: number;
  /** Servers whose data may be damaged (wiped, rotten, failed sync) and not yet recovered. */
  readonly damagedMax: number;
  /** How long a server stays down. Virtual milliseconds, drawn log-uniformly. */
  readonly downMs: readonly [number, number];
  /** What a disk that runs low has left. Bytes, drawn uniformly; without it no disk runs low. */
  readonly lowBytes?: readonly [number, number];
  /** Restricts the faults that damage a device to some of its files; all if left out. */
  readonly damages?: (path: string) => boolean;
  /** Flips bits of a device whose process was killed just now; answers what it hit, if there was anything to hit. */
  readonly rotsAtRest?: (device: Device, random: CountingRandom) => string | undefined;
  /** Probability that a seed has no faults at all; 0.1 if left out. */
  readonly calmProbability?: number;
  /** At least so many faults happen in a seed that is not calm. */
  readonly faultsMin?: number;
}

/** Everything that durable, synchronous writes with a healthy device survive. */
export const CRASH_KINDS: readonly FaultKind[] = [
  'kill',
  'power-cut',
  'power-cut-all',
  'kill-all',
  'pause',
  'reset',
  'cut-one-way',
  'isolate',
  'bridge',
  'split',
  'clog',
  'slow-link',
  'cut-client',
  'disk-stall',
  'disk-slow',
  'disk-full',
  'clock-jump',
  'clock-rate',
];

/** What a cluster with another whole copy of everything survives: one node loses what it was writing, or all. */
export const LOSS_KINDS: readonly FaultKind[] = ['write-error', 'sync-error', 'wipe'];
