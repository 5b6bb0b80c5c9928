// One list of messages per queue and turn, against a map of arrays.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TurnBatches } from '../../../src/broker/ports.ts';

test('each queue gets its messages, in their order, turn after turn', () => {
  const queues = fc.uniqueArray(fc.nat(300), { maxLength: 20 });
  const turns = fc.array(fc.array(queues, { maxLength: 80 }), { minLength: 1, maxLength: 4 });
  const property = fc.property(turns, (all) => {
    const batches = new TurnBatches();
    for (const messages of all) {
      const model = new Map<number, number[]>();
      messages.forEach((targets, i) => {
        const row = i * 3;
        batches.add(row, Int32Array.from([...targets, 77]), targets.length);
        for (const queue of targets) model.set(queue, [...(model.get(queue) ?? []), row]);
      });
      expect(batches.copies).toBe([...model.values()].flat().length);
      batches.finish();
      const found = Array.from({ length: batches.queueCount }, (_, i) => [
        batches.queues[i],
        [...batches.rows.subarray(batches.starts[i], batches.starts[i + 1])],
      ]);
      expect(found).toEqual([...model]);
      batches.clear();
    }
  });
  fc.assert(property, { numRuns: 200 });
});
