// The real clocks. monotonicMs measures, wallMs only dates things; they are never mixed.
import type { Clock } from '../environment.ts';

export function createNodeClock(): Clock {
  return {
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
  };
}
