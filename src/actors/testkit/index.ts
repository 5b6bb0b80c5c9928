// What tests of actors import: a single actor, a stepped system, probes, seeds, and the environment.
export type { Behaviour, Effect } from './behave.ts';
export { behave } from './behave.ts';
export type { FixtureOptions, Probe, Recorded } from './fixture.ts';
export { fixture, forAllSeeds } from './fixture.ts';
export type { LogLine, ManualOptions } from './manual-environment.ts';
export { ManualEnvironment, manualEnvironment } from './manual-environment.ts';
export { MemoryNet } from './memory-net.ts';
