// What tests of actors import: a single actor, a stepped system, probes, seeds, and the environment.

export type { AskCycle } from '../tracer.ts';
export type { Behaviour, Effect, MakeRef } from './behave.ts';
export { behave } from './behave.ts';
export type { FaultKind, FaultRates, RunEvent } from './faults.ts';
export { ALL_FAULTS } from './faults.ts';
export type { Answers, Expected, Fixture, FixtureOptions, Probe, Recorded } from './fixture.ts';
export { fixture } from './fixture.ts';
export type { LogLine, ManualOptions } from './manual-environment.ts';
export { ManualEnvironment, manualEnvironment } from './manual-environment.ts';
export { MemoryNet } from './memory-net.ts';
export type { SeedOptions } from './seeds.ts';
export { forAllSeeds } from './seeds.ts';
