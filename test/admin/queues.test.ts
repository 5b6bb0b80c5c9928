// `/api/queues` over a view of many queues: what one answer costs, and that it comes in time.
import { expect, test } from 'vitest';
import type { AdminPorts } from '../../src/admin/ports.ts';
import { queuesOf } from '../../src/admin/queues.ts';

const COUNT = 640;

/** Every leader takes so long to answer nothing. */
function ports(answerMs: number) {
  let nowMs = 0;
  const calls = { policies: 0, asked: 0 };
  const queue = { durable: true, autoDelete: false, owner: undefined, quorum: undefined };
  const destinations = Array.from({ length: COUNT }, (_, i) => ({
    name: `q${i}`,
    queue,
    policy: 'p',
    logs: [
      { logId: i, leader: 1, replicas: [1], isr: [1], offline: [], durability: 'sync', vhost: '/' },
    ],
  }));
  const view: object = {
    in: () => view,
    destinations: () => destinations,
    policies: () => {
      calls.policies += 1;
      return [{ vhost: '/', name: 'p', definition: [['ha-mode', '"all"']] }];
    },
  };
  const fake = {
    view,
    uptimeMs: () => nowMs,
    queueCounts: async () => {
      const dueMs = nowMs + answerMs;
      calls.asked += 1;
      await Promise.resolve();
      nowMs = dueMs;
      return answerMs > 0 ? undefined : { ready: 2, leased: 1, consumers: 0, dropped: 0 };
    },
  };
  return { ports: fake as unknown as AdminPorts, calls, now: () => nowMs };
}

test('policies are looked up once for all queues', async () => {
  const { ports: of, calls } = ports(0);
  const found = await queuesOf(of, ['/']);
  expect(found).toHaveLength(COUNT);
  expect(found[COUNT - 1]).toMatchObject({
    messages: 3,
    effective_policy_definition: { 'ha-mode': 'all' },
  });
  expect(calls).toEqual({ policies: 1, asked: COUNT });
});

test('where leaders do not answer, the rest is left out after a while', async () => {
  const { ports: of, calls, now } = ports(1_000);
  const found = await queuesOf(of, ['/']);
  expect(found).toHaveLength(COUNT);
  expect(found[0]).not.toHaveProperty('messages');
  expect(now()).toBeLessThanOrEqual(5_000);
  expect(calls.asked).toBeLessThan(COUNT / 2 + 1);
});
