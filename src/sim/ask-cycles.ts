// Asks that wait for each other in a circle fail a run: they end by their timeouts, so nothing else may show
// that they are there.
import { Tracer } from '../actors/tracer.ts';
import type { World } from './world.ts';

/** One for all systems of a world: it sees circles over threads and nodes. */
export function cycleTracer(world: World): Tracer {
  return new Tracer(({ text }) => world.fail('ask-cycle', text));
}
