import { expect, test } from 'vitest';
import { inWorld } from '../../src/sim/runner.ts';
import { installTripWires } from '../../src/sim/trip-wires.ts';

const CALLS: Record<string, () => unknown> = {
  'Date.now': () => Date.now(),
  'new Date': () => new Date(),
  'Math.random': () => Math.random(),
  'performance.now': () => performance.now(),
  setTimeout: () => setTimeout(() => undefined, 0),
  setInterval: () => setInterval(() => undefined, 1),
  setImmediate: () => setImmediate(() => undefined),
  queueMicrotask: () => queueMicrotask(() => undefined),
  'process.nextTick': () => process.nextTick(() => undefined),
  'crypto.randomUUID': () => crypto.randomUUID(),
};

test('armed wires throw the name of what was called, and restore gives the originals back', () => {
  const originals = [Date, Date.now, setTimeout, process.nextTick];
  const wires = installTripWires();
  try {
    wires.arm();
    for (const [name, call] of Object.entries(CALLS)) expect(call, name).toThrow(name);
    expect(new Date(5).getTime()).toBe(5);
    wires.disarm();
    expect(Date.now()).toBeGreaterThan(0);
    expect(wires.tripped.map((trip) => trip.label)).toEqual(Object.keys(CALLS));
  } finally {
    wires.restore();
  }
  expect([Date, Date.now, setTimeout, process.nextTick]).toEqual(originals);
});

test('a program that looks at the real clock inside a simulation is found, also if it hides the error', async () => {
  const run = inWorld(1, {}, async (world) => {
    world
      .node('n1')
      .start()
      .environment.runQueue.soon(() => {
        try {
          Date.now();
        } catch {
          // Swallowed on purpose.
        }
      });
    await world.advance(5);
  });
  await expect(run).rejects.toThrow(/Date.now was called inside a simulation.*trip-wires.test/s);
});
