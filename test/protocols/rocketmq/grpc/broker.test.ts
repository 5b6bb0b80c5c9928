// Which destinations are topics, and what becomes of a name that is taken by one that is none.
import { expect, it } from 'vitest';
import type { DestinationView, MetadataResult, QueueView } from '../../../../src/broker/ports.ts';
import { createRocketBroker } from '../../../../src/protocols/rocketmq/grpc/broker.ts';
import type { BrokerAnswer } from '../../../../src/protocols/rocketmq/grpc/ports.ts';
import { crc32c } from '../../../../src/std/crc32c.ts';

const OWNER = { node: 1, incarnation: 1, shard: 0, shardIncarnation: 1, connection: 9 };

function destination(name: string, more: Partial<DestinationView> = {}): DestinationView {
  const place = { vhost: '/', destination: name, partition: 0 };
  const log = { logId: 7, kind: 'partition', ...place, leader: 2, epoch: 1 };
  const rules = { minInsync: 1, durability: 'sync', observers: [] } as const;
  const logs = [
    { ...log, replicas: [1, 2], isr: [1, 2], offline: [], adding: [], removing: [], ...rules },
  ];
  const id = new Uint8Array(16);
  return { name, id, isInternal: false, config: new Map(), logs, ...more };
}

function queue(owner: QueueView['owner']): QueueView {
  return { durable: true, autoDelete: false, owner, arguments: new Uint8Array(0), compared: [] };
}

function brokerOf(destinations: readonly DestinationView[], created: MetadataResult) {
  return createRocketBroker({
    view: { destination: (name: string) => destinations.find((each) => each.name === name) },
    metadata: { create: async () => created },
    settings: { autoCreate: true, defaultPartitions: 3 },
    crc32c,
  } as never);
}

const EXISTS = { kind: 'refused', code: 'exists', message: 'mine' } as const;

it('streams and queues are topics; exclusive queues and what is the cluster’s own are not', () => {
  const broker = brokerOf(
    [
      destination('orders'),
      destination('tasks', { queue: queue(undefined) }),
      destination('mine', { queue: queue(OWNER) }),
      destination('__consumer_offsets', { isInternal: true }),
    ],
    EXISTS,
  );
  expect(broker.topic('orders')).toMatchObject({ isQueue: false });
  expect(broker.topic('tasks')).toMatchObject({
    isQueue: true,
    logs: [{ logId: 7, leaderNodeId: 2 }],
  });
  for (const name of ['mine', '__consumer_offsets', 'none']) {
    expect(broker.topic(name)).toBe(undefined);
  }
});

it.each(['exists', 'invalid-replication-factor'])(
  'a topic that this node has yet to hear of, or that too few nodes are live for, is asked for again: %s',
  async (code) => {
    const broker = brokerOf([], { kind: 'refused', code, message: 'later' });
    const ask = { kind: 'create', token: 1, topic: 'new', timeoutMs: 1_000 } as const;
    const told = await new Promise<BrokerAnswer>((resolve) => broker.ask(ask, resolve));
    expect(told).toMatchObject({ kind: 'create', result: 'unavailable', reason: 'later' });
  },
);

it.each<[MetadataResult, Partial<BrokerAnswer>]>([
  [EXISTS, { result: 'refused', reason: 'mine is there, and is not for everybody' }],
  [
    { kind: 'refused', code: 'invalid-name', message: 'a bad name' },
    { result: 'refused', reason: 'a bad name' },
  ],
  [
    { kind: 'unavailable', message: 'no leader' },
    { result: 'unavailable', reason: 'no leader' },
  ],
])('a topic that cannot be made has a reason: %o', async (created, answer) => {
  const broker = brokerOf([destination('mine', { queue: queue(OWNER) })], created);
  const ask = { kind: 'create', token: 1, topic: 'mine', timeoutMs: 1_000 } as const;
  const told = await new Promise<BrokerAnswer>((resolve) => broker.ask(ask, resolve));
  expect(told).toMatchObject({ kind: 'create', ...answer });
});

it('groups are told what is done with their messages', () => {
  const group = { isFifo: false, deliveriesMax: 2_147_483_647, backoffMs: [0] };
  expect(brokerOf([], EXISTS).group('any')).toEqual(group);
});
