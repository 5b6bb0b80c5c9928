// `callboard/actors/testkit`: for tests of actors, in virtual time.
export * from '../actors/testkit/index.ts';
