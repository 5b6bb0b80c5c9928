// The mistakes of `known-mistakes.ts` that concern the main thread: it loads nothing of what only shards run.
import type { NodeRole } from '../cluster/metadata/types.ts';
import type { Environment } from '../env/environment.ts';
import type { RaftConfig, RaftFaults } from '../raft/index.ts';

const OF_RAFT: readonly (readonly [string, keyof RaftFaults])[] = [
  ['bug.raft-forget-vote', 'forgetVote'],
  ['bug.raft-ack-before-durable', 'ackBeforeDurable'],
  ['bug.raft-count-unwritten', 'countUnwritten'],
  ['bug.raft-commit-older-terms', 'commitOlderTerms'],
  ['bug.raft-vote-for-behind', 'voteForBehind'],
  ['bug.raft-trust-old-terms', 'trustOldTerms'],
];
/** One entry at a time: else an old one always comes together with the new one that hides the mistake. */
const SMALL_APPENDS = { appendBytesMax: 1, inFlightMax: 1 } as const;

/** What the controller does wrong in this run. */
export function knownControllerMistakes(env: Environment): { readonly shrinksQuorums?: true } {
  return env.buggify('bug.shrink-quorum') ? { shrinksQuorums: true } : {};
}

/** What the metadata group does wrong in this run. */
export function knownRaftMistakes(env: Environment): Partial<Omit<RaftConfig, 'self'>> {
  const rules = OF_RAFT.filter(([site]) => env.buggify(site)).map(([, rule]) => rule);
  if (rules.length === 0) return {};
  const faults = Object.fromEntries(rules.map((rule) => [rule, true]));
  return rules.includes('commitOlderTerms') ? { ...SMALL_APPENDS, faults } : { faults };
}

/** As what a node is registered: a RAM node that calls itself a disk node is counted as one. */
export function knownRole(env: Environment, role: NodeRole): NodeRole {
  return role === 'ram' && env.buggify('bug.ram-counts') ? 'disk' : role;
}
