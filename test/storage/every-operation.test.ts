// One scripted run of a store, cut at every operation on its disk: before each write, sync, creation, rename
// and removal, and while each write is under way. After each cut a stranger reads the files, and a start finds
// everything that was durable.
import { describe, expect, it } from 'vitest';
import { runs } from '../setup/runs.ts';
import { cutAt, operationsOf } from './support/scripted-run.ts';

describe('a power cut at every operation', () => {
  const step = runs(1, 7);
  const kinds = ['power', 'kill'] as const;

  it.each(kinds)('of a scripted run loses nothing (%s)', { timeout: 600_000 }, async (kind) => {
    const total = await operationsOf();
    let tried = 0;
    for (let operation = 1; operation <= total; operation += step) {
      await cutAt(operation, kind);
      tried += 1;
    }
    console.info(`cut (${kind}) at ${tried} of ${total} operations`);
    expect(total).toBeGreaterThan(300);
    expect(tried).toBe(Math.ceil(total / step));
  });
});
