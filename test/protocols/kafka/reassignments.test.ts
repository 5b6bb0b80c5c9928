// AlterPartitionReassignments and ListPartitionReassignments (KIP-455): each partition stands for itself.
import { expect, it } from 'vitest';
import {
  AlterPartitionReassignments,
  ListPartitionReassignments,
} from '../../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { KafkaWorld } from './harness.ts';

it('asks the metadata for each partition, and says what it answered', async () => {
  const made = new KafkaWorld();
  made.create('t', 2);
  const client = made.connect();
  const partitions = [
    { partitionIndex: 0, replicas: [2, 3] },
    { partitionIndex: 1, replicas: null },
    { partitionIndex: 7, replicas: [1] },
    { partitionIndex: 0, replicas: [] },
  ];
  const topics = [
    { name: 't', partitions },
    { name: 'gone', partitions: [{ partitionIndex: 0, replicas: [1] }] },
  ];
  const answer = await client.call(AlterPartitionReassignments, 0, { topics });
  expect(answer.errorCode).toBe(E.NONE);
  expect(answer.responses.map((topic) => topic.partitions.map((each) => each.errorCode))).toEqual([
    [E.NONE, E.NONE, E.UNKNOWN_TOPIC_OR_PARTITION, E.INVALID_REPLICA_ASSIGNMENT],
    [E.UNKNOWN_TOPIC_OR_PARTITION],
  ]);
  const [first, second] = made.destinations.get('t')!.logs;
  expect(made.reassigned).toEqual([
    [first!.logId, [2, 3]],
    [second!.logId, []],
  ]);
});

it.each([
  ['no-reassignment', E.NO_REASSIGNMENT_IN_PROGRESS],
  ['invalid-assignment', E.INVALID_REPLICA_ASSIGNMENT],
  ['invalid-replication-factor', E.INVALID_REPLICATION_FACTOR],
])('a refusal as %s is %s', async (code, errorCode) => {
  const made = new KafkaWorld();
  made.create('t', 1);
  made.metadataResult = { kind: 'refused', code, message: 'why' };
  const partitions = [{ partitionIndex: 0, replicas: [1] }];
  const topics = [{ name: 't', partitions }];
  const answer = await made.connect().call(AlterPartitionReassignments, 0, { topics });
  const outcome = { partitionIndex: 0, errorCode, errorMessage: 'why' };
  expect(answer.responses[0]!.partitions[0]).toMatchObject(outcome);
});

it('lists what moves, of all topics or of those that are named', async () => {
  const made = new KafkaWorld();
  made.create('still', 1);
  made.create('t', 2);
  const { logs, ...rest } = made.destinations.get('t')!;
  const moving = { ...logs[1]!, replicas: [1, 3, 2], adding: [3], removing: [2] };
  made.destinations.set('t', { ...rest, logs: [logs[0]!, moving] });
  const client = made.connect();
  const one = {
    partitionIndex: 1,
    replicas: [1, 3, 2],
    addingReplicas: [3],
    removingReplicas: [2],
  };
  const all = await client.call(ListPartitionReassignments, 0, { topics: null });
  expect(all.topics).toMatchObject([{ name: 't', partitions: [one] }]);
  expect(all.topics).toHaveLength(1);
  const named = [
    { name: 't', partitionIndexes: [0] },
    { name: 'gone', partitionIndexes: [0] },
  ];
  expect((await client.call(ListPartitionReassignments, 0, { topics: named })).topics).toEqual([]);
});
