// Mistakes that the simulator can switch on by name, to prove that it would find them. Nowhere else:
// outside a simulation `buggify` is always false, so every rule holds.
import type { Environment } from '../env/environment.ts';
import type { Faults } from '../replication/types.ts';

const BY_NAME: readonly (readonly [string, keyof Faults])[] = [
  ['bug.ack-before-sync', 'ackBeforeDurable'],
  ['bug.hw-from-stale-epoch', 'hwFromStaleEpoch'],
  ['bug.truncate-below-hw', 'truncateBelowCommitted'],
  ['bug.same-epoch-after-restart', 'sameEpochAfterRestart'],
];

/** The rules to take away in this run, or undefined: none. */
export function knownMistakes(env: Environment): Faults | undefined {
  const taken = BY_NAME.filter(([site]) => env.buggify(site)).map(([, rule]) => [rule, true]);
  return taken.length === 0 ? undefined : Object.fromEntries(taken);
}
