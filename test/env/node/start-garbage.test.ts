import { constants, PerformanceObserver } from 'node:perf_hooks';
import { expect, it } from 'vitest';
import { collectStartGarbage } from '../../../src/env/node/start-garbage.ts';

it('makes a full collection, and adds nothing to the globals', async () => {
  const kinds: number[] = [];
  let wake = (): void => undefined;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      kinds.push((entry as unknown as { detail: { kind: number } }).detail.kind);
    }
    wake();
  });
  observer.observe({ entryTypes: ['gc'] });
  collectStartGarbage(0, 0);
  while (!kinds.includes(constants.NODE_PERFORMANCE_GC_MAJOR)) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  observer.disconnect();
  expect((globalThis as { gc?: unknown }).gc).toBeUndefined();
});
