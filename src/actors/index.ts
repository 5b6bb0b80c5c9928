// The door of the actor runtime: what applications and the other rooms import.
export type {
  Actor,
  ActorOptions,
  AnyActor,
  Context,
  Directive,
  EndCause,
  Handlers,
  Later,
  Mailbox,
  Placement,
  Shown,
  Signal,
  Spawner,
  Supervision,
} from './actor.ts';
export { actor } from './actor.ts';
export type { DeadLetter, DeadLetterGroup, DeadReason } from './dead-letters.ts';
export type { ActorErrorCode } from './errors.ts';
export { ActorError } from './errors.ts';
export type { InspectionDoor, InspectOptions } from './inspect/door.ts';
export type { Inspection, ThreadGlimpse, ThreadLook } from './inspect/looks.ts';
export type { SeenFailure, SlowDrains, SlowHandler, SlowRun } from './inspect/observer.ts';
export type { ClassRates, ThreadRates } from './inspect/rates.ts';
export type {
  ActorFigures,
  ActorInfo,
  ClassInfo,
  DeadLettersInfo,
  ThreadInfo,
} from './inspect/snapshot.ts';
export type { TimingInfo } from './inspect/timing.ts';
export type { ClassMetrics } from './metrics.ts';
export { threadOfKey } from './placement.ts';
export type {
  AnyProtocol,
  Ask,
  AskOp,
  Codec,
  Input,
  Ops,
  Protocol,
  Reply,
  Tell,
  TellOp,
} from './protocol.ts';
export {
  ask,
  lentAsk,
  lentTell,
  protocol,
  protocolDifference,
  protocolSummaries,
  protocolsHash,
  tell,
} from './protocol.ts';
export type { Admission, AnyRef, AskOptions, Place, Ref, RefId } from './ref.ts';
export { refId, sameId, sameRef } from './ref.ts';
export type { Routing } from './router.ts';
export { Router } from './router.ts';
export type { AcceptOptions, IncomingStream, StreamReader } from './streams/incoming-stream.ts';
export type { OpenOptions, OutgoingStream } from './streams/outgoing-stream.ts';
export type { StreamAddress, StreamEnd } from './streams/protocols.ts';
export { streamAddress } from './streams/protocols.ts';
export { DEFAULT_SUPERVISION, RestartBudget } from './supervise.ts';
export type { ChildSpec, SupervisorArgs } from './supervisor.ts';
export { Supervisor } from './supervisor.ts';
export { createSystem, System } from './system.ts';
export type { Manifest, SystemLimits, SystemOptions } from './system-options.ts';
export type { Phase } from './turn.ts';
