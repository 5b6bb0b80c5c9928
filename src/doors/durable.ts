// `callboard/durable`: event-sourced actors whose state outlives the process, on the storage and the log host that
// the broker's queues use. Loads neither protocols nor the broker.
export type {
  AnyDurableActor,
  Asks,
  DecisionContext,
  DurableActor,
  DurableParts,
  EventOf,
  Events,
  Outcome,
  TimerOf,
} from '../actors/durable/event-sourced.ts';
export { durable } from '../actors/durable/event-sourced.ts';
export type {
  DurableActors,
  DurableActorsOptions,
} from './durable/durable-actors.ts';
export { openDurableActors } from './durable/durable-actors.ts';
export { DurableFolderError } from './durable/registry.ts';
