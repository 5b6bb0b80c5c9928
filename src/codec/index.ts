// The whole offer of the codec room.
export * from './codec.ts';
export * from './composites.ts';
export * from './scalars.ts';
