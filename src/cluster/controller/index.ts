// The door of the controller.
export { Controller } from './controller.ts';
export type { LeaderPlan } from './leaders.ts';
export * from './types.ts';
