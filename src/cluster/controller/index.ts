// The door of the controller.
export { Controller } from './controller.ts';
export * from './types.ts';
