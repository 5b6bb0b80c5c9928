// The mistakes of `known-mistakes.ts` that concern the main thread: it loads nothing of what only shards run.
import type { Environment } from '../env/environment.ts';

/** What the controller does wrong in this run. */
export function knownControllerMistakes(env: Environment): { readonly shrinksQuorums?: true } {
  return env.buggify('bug.shrink-quorum') ? { shrinksQuorums: true } : {};
}
