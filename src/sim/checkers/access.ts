// Rights that come and go, as clients saw it: what a user did in a time in which it must not, and messages that are in
// the wrong vhost. Knows times and outcomes; nothing of patterns, users or metadata.
import type { Violation } from '../scenario.ts';

/** What one client tried, from when it began; `late`: it is not known whether it was done. */
export interface AccessAttempt {
  readonly user: string;
  readonly vhost: string;
  readonly what: 'publish' | 'get' | 'declare';
  readonly beganMs: number;
  outcome: 'done' | 'refused' | 'unknown';
}

/** The rights of a user in a vhost are gone for certain in [fromMs, untilMs). */
export interface Forbidden {
  readonly user: string;
  readonly vhost: string;
  readonly fromMs: number;
  untilMs: number;
}

/** A message that a client in `vhost` was given. */
export interface SeenMessage {
  readonly vhost: string;
  /** Where it was published. */
  readonly from: string;
  readonly atMs: number;
}

export interface AccessHistory {
  readonly attempts: AccessAttempt[];
  readonly forbidden: Forbidden[];
  readonly seen: SeenMessage[];
}

/** How long a node that runs and is reached by the others may let somebody go on. */
export const ACCESS_BOUND_MS = 5_000;

function isIn({ user, vhost, beganMs }: AccessAttempt, period: Forbidden): boolean {
  if (user !== period.user || vhost !== period.vhost) return false;
  return beganMs >= period.fromMs + ACCESS_BOUND_MS && beganMs < period.untilMs;
}

export function checkAccess(history: AccessHistory): Violation[] {
  const found: Violation[] = [];
  for (const attempt of history.attempts) {
    if (attempt.outcome !== 'done') continue;
    const period = history.forbidden.find((each) => isIn(attempt, each));
    if (period === undefined) continue;
    const message = `${attempt.user} did a ${attempt.what} in ${attempt.vhost} at ${attempt.beganMs}, without the right since ${period.fromMs}`;
    found.push({ check: 'access/late-right', message, details: { attempt, period } });
  }
  for (const { vhost, from, atMs } of history.seen) {
    if (vhost === from) continue;
    const message = `a message of vhost ${from} came out in ${vhost} at ${atMs}`;
    found.push({ check: 'access/other-vhost', message });
  }
  return found;
}

/** What was refused in such times, and what was done at all: without both nothing was judged. */
export function countJudged(history: AccessHistory): {
  readonly refused: number;
  readonly done: number;
} {
  let refused = 0;
  let done = 0;
  for (const attempt of history.attempts) {
    if (attempt.outcome === 'done') done += 1;
    else if (attempt.outcome === 'refused') {
      if (history.forbidden.some((period) => isIn(attempt, period))) refused += 1;
    }
  }
  return { refused, done };
}
