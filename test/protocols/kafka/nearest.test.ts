// Consumers that say where they are (KIP-392): the leader sends them to an in-sync replica of their rack, where the
// topic says so, and a replica serves them.
import { expect, it } from 'vitest';
import { Fetch, type RequestInput } from '../../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { batchOf, KafkaWorld } from './harness.ts';

/** Node 1 answers; racks by node. */
function world(racks: readonly string[], leader: number, isr: readonly number[], isSet = true) {
  const made = new KafkaWorld();
  made.nodes = racks.map((rack, index) => ({ ...made.nodes[index % 2]!, id: index + 1, rack }));
  const [log] = made.create('t', 1);
  log!.append(batchOf('a', 'b'));
  const topic = made.destinations.get('t')!;
  const replicas = racks.map((_, index) => index + 1);
  const where = { leader, isr, replicas, ...(isSet ? { readsFromReplicas: true } : {}) };
  made.destinations.set('t', { ...topic, logs: [{ ...topic.logs[0]!, ...where }] });
  return made;
}

function body(rackId: string, fetchOffset = 0): RequestInput<typeof Fetch> {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }];
  const topics = [{ topic: 't', partitions }];
  const limits = { maxWaitMs: 30_000, minBytes: 1, maxBytes: 1_000_000, isolationLevel: 0 };
  return { ...limits, rackId, topics };
}

async function fetched(made: KafkaWorld, rackId: string, version = 11) {
  const answer = await made.connect().call(Fetch, version, body(rackId));
  const { errorCode, preferredReadReplica, records, highWatermark } =
    answer.responses[0]!.partitions[0]!;
  return { errorCode, preferredReadReplica, bytes: records?.length ?? 0, highWatermark };
}

it('sends a consumer to an in-sync replica of its rack, at once and without records', async () => {
  const made = world(['a', 'b', 'c'], 1, [1, 2, 3]);
  expect(await fetched(made, 'c')).toEqual({
    errorCode: E.NONE,
    preferredReadReplica: 3,
    bytes: 0,
    highWatermark: 2,
  });
  expect(made.released).toBe(made.pinned);
});

it.each([
  ['the leader is in the rack', ['a', 'a', 'c'], [1, 2, 3], 'a', true],
  ['nobody is in the rack', ['a', 'b', 'c'], [1, 2, 3], 'd', true],
  ['who is in it is not in sync', ['a', 'b', 'c'], [1, 2], 'c', true],
  ['the consumer names no rack', ['a', 'b', 'c'], [1, 2, 3], '', true],
  ['the topic is read from its leader', ['a', 'b', 'c'], [1, 2, 3], 'c', false],
] as const)('reads itself where %s', async (_why, racks, isr, rackId, isSet) => {
  const answer = await fetched(world(racks, 1, isr, isSet), rackId);
  expect(answer).toMatchObject({ errorCode: E.NONE, preferredReadReplica: -1, highWatermark: 2 });
  expect(answer.bytes).toBeGreaterThan(0);
});

it('serves a partition that another node leads where the topic says so', async () => {
  const answer = await fetched(world(['a', 'b', 'c'], 2, [1, 2, 3]), 'a');
  expect(answer).toMatchObject({ errorCode: E.NONE, preferredReadReplica: -1, highWatermark: 2 });
  expect(answer.bytes).toBeGreaterThan(0);
});

it.each([
  ['where it does not', false, 11],
  ['to clients of before', true, 10],
])('does not %s', async (_what, isSet, version) => {
  const answer = await fetched(world(['a', 'b', 'c'], 2, [1, 2, 3], isSet), 'a', version);
  expect(answer).toMatchObject({ errorCode: E.NOT_LEADER_OR_FOLLOWER, bytes: 0 });
});
