// `callboard/actors`: the actor runtime as a library. Needs nothing of the broker and no package;
// a test walks its imports. Native code is used where its optional packages are installed.
export * from '../actors/index.ts';
export type { LinkCounters, LinkIdentity, LinksOptions } from '../actors/links/links.ts';
export { Links } from '../actors/links/links.ts';
export type {
  MemberControl,
  SettingsInForce,
  ThreadCounts,
  ThreadSettings,
} from '../actors/threads/control.ts';
export type { Member, MemberOptions } from '../actors/threads/member.ts';
export { joinThreadGroup } from '../actors/threads/member.ts';
export type { StallLimits } from '../actors/threads/standstill.ts';
export type { Suspect, ThreadGroupOptions } from '../actors/threads/thread-group.ts';
export { ThreadGroup } from '../actors/threads/thread-group.ts';
export * from '../codec/index.ts';
export type {
  Address,
  Clock,
  Connection,
  Environment,
  Listener,
  Log,
  LogLevel,
  Net,
  Random,
  Timers,
} from '../env/environment.ts';
export type {
  ControlOptions,
  ThreadControlCode,
  ThreadExit,
  ThreadFacts,
  ThreadLimits,
} from '../env/threads.ts';
export type { ActorEnvironmentOptions } from './actor-environment.ts';
export { createActorEnvironment } from './actor-environment.ts';
export type { RunningThreads, ThreadsOptions } from './threads.ts';
export { startThreads } from './threads.ts';
