// The rules of logs, parsed once for each version of the metadata, and at once when that is another one.
import { expect, it } from 'vitest';
import { PARTITION_KIND } from '../../../src/broker/destination/kinds.ts';
import { LogRulesTable } from '../../../src/broker/destination/log-rules.ts';
import type { MetadataView } from '../../../src/cluster/ports.ts';

it('parses when the metadata has changed, not when somebody asks', () => {
  let config = new Map([['max.message.bytes', '77']]);
  let looks = 0;
  const known = new Map([
    [1, { vhost: 'orders', destination: 'topic', kind: PARTITION_KIND }],
    [2, { vhost: 'orders', destination: 'topic', kind: 'queue' }],
  ]);
  const view = {
    version: 1,
    log: (logId: number) => known.get(logId),
    in: (vhost: string) => ({
      destination: () => {
        expect(vhost).toBe('orders');
        looks += 1;
        return { config };
      },
    }),
  };
  const rules = new LogRulesTable(view as unknown as MetadataView);
  for (let batch = 0; batch < 100; batch += 1) {
    expect(rules.of(1)).toEqual({ messageBytesMax: 77, needsKeys: false });
  }
  expect(looks).toBe(1);
  config = new Map([['cleanup.policy', 'delete, compact']]);
  view.version += 1;
  for (let batch = 0; batch < 100; batch += 1) {
    expect(rules.of(1)).toEqual({ messageBytesMax: 1_048_588, needsKeys: true });
    expect(rules.of(2).needsKeys).toBe(false);
    expect(rules.of(3)).toEqual({ messageBytesMax: 1_048_588, needsKeys: false });
  }
  expect(looks).toBe(3);
});
