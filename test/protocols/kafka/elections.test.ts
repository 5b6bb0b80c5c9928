// ElectLeaders (KIP-183, KIP-460): each partition stands for itself, and every outcome has Kafka's number.
import { expect, it } from 'vitest';
import { ElectLeaders } from '../../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { KafkaWorld } from './harness.ts';

const PREFERRED = 0;
const UNCLEAN = 1;

async function elected(
  made: KafkaWorld,
  electionType: number,
  partitions: readonly number[] | null = [0],
  version = 2,
) {
  const topicPartitions = partitions === null ? null : [{ topic: 't', partitions }];
  const answer = await made
    .connect()
    .call(ElectLeaders, version, { electionType, topicPartitions });
  expect(answer.errorCode).toBe(E.NONE);
  return answer.replicaElectionResults.flatMap(({ partitionResult }) =>
    partitionResult.map(({ errorCode }) => errorCode),
  );
}

function world(partitions = 1): KafkaWorld {
  const made = new KafkaWorld();
  made.create('t', partitions);
  return made;
}

const leaderOf = (made: KafkaWorld, partition = 0) =>
  made.destinations.get('t')!.logs[partition]!.leader;

it.each([0, 1, 2])('the first replica takes a partition back (version %i)', async (version) => {
  const made = world();
  made.setLeader('t', 2);
  expect(await elected(made, PREFERRED, [0], version)).toEqual([E.NONE]);
  expect(leaderOf(made)).toBe(1);
});

it('is not needed where it leads, not possible where it is not in sync, unknown where there is none', async () => {
  const made = world(3);
  const [, second, third] = made.destinations.get('t')!.logs;
  made.changeLogs([second!.logId], () => ({ leader: 2, isr: [2] }));
  made.changeLogs([third!.logId], () => ({ leader: 2, offline: [1] }));
  expect(await elected(made, PREFERRED, [0, 1, 2, 3])).toEqual([
    E.ELECTION_NOT_NEEDED,
    E.PREFERRED_LEADER_NOT_AVAILABLE,
    E.PREFERRED_LEADER_NOT_AVAILABLE,
    E.UNKNOWN_TOPIC_OR_PARTITION,
  ]);
});

it('of all partitions tells only those of which there is something to tell', async () => {
  const made = world(3);
  const [, second] = made.destinations.get('t')!.logs;
  made.changeLogs([second!.logId], () => ({ leader: 2 }));
  expect(await elected(made, PREFERRED, null)).toEqual([E.NONE]);
  expect(leaderOf(made, 1)).toBe(1);
});

it('an unclean election is for partitions without a leader, of which a replica is live', async () => {
  const made = world(3);
  const [first, second] = made.destinations.get('t')!.logs;
  made.changeLogs([first!.logId], () => ({ leader: -1, offline: [1] }));
  made.changeLogs([second!.logId], () => ({ leader: -1, offline: [1, 2] }));
  expect(await elected(made, UNCLEAN, [0, 1, 2])).toEqual([
    E.NONE,
    E.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    E.ELECTION_NOT_NEEDED,
  ]);
  expect(leaderOf(made)).toBe(2);
});

it('says REQUEST_TIMED_OUT without a metadata leader, INVALID_REQUEST to other types', async () => {
  const made = world();
  made.setLeader('t', 2);
  made.metadataResult = { kind: 'unavailable', message: 'why' };
  expect(await elected(made, PREFERRED)).toEqual([E.REQUEST_TIMED_OUT]);
  made.setLeader('t', -1);
  expect(await elected(made, UNCLEAN)).toEqual([E.REQUEST_TIMED_OUT]);
  const body = { electionType: 2, topicPartitions: [] };
  const answer = await made.connect().call(ElectLeaders, 2, body);
  expect(answer.errorCode).toBe(E.INVALID_REQUEST);
});

const TIMEOUT_MS = 6_000;

/** All partitions of a topic are asked for by one request, whose answer is read later. */
function asked(made: KafkaWorld, partitions: readonly number[]) {
  const client = made.connect();
  const topicPartitions = [{ topic: 't', partitions }];
  client.send(ElectLeaders, 2, { electionType: PREFERRED, topicPartitions, timeoutMs: TIMEOUT_MS });
  return {
    async codes() {
      await made.env.settle();
      const { replicaElectionResults } = client.next(ElectLeaders, 2);
      return replicaElectionResults[0]!.partitionResult.map(({ errorCode }) => errorCode);
    },
    async isAnswered() {
      await made.env.settle();
      return client.hasFrames();
    },
  };
}

it('answers a request that names a partition twice, for both', async () => {
  const made = world();
  made.isHandOverSlow = true;
  made.setLeader('t', 2);
  const request = asked(made, [0, 0]);
  expect(await request.isAnswered()).toBe(false);
  made.changeLogs([made.destinations.get('t')!.logs[0]!.logId], () => ({ leader: 1 }));
  expect(await request.codes()).toEqual([E.NONE, E.NONE]);
});

it('asks the leaders of all partitions at once, and answers when each has handed over or cannot', async () => {
  const made = world(3);
  made.isHandOverSlow = true;
  made.setLeader('t', 2);
  const logIds = made.destinations.get('t')!.logs.map(({ logId }) => logId);
  const { codes, isAnswered } = asked(made, [0, 1, 2]);
  expect(await isAnswered()).toBe(false);
  expect(made.preferred).toEqual([logIds]);
  made.changeLogs([logIds[0]!], () => ({ leader: 1 }));
  made.changeLogs([logIds[1]!], () => ({ isr: [2] }));
  expect(await isAnswered()).toBe(false);
  made.changeLogs([logIds[2]!], () => ({ leader: 1 }));
  expect(await codes()).toEqual([E.NONE, E.PREFERRED_LEADER_NOT_AVAILABLE, E.NONE]);
});

it('asks again while there is time, and says REQUEST_TIMED_OUT at its end', async () => {
  const made = world(1);
  made.isHandOverSlow = true;
  made.setLeader('t', 2);
  const { codes, isAnswered } = asked(made, [0]);
  expect(await isAnswered()).toBe(false);
  await made.env.advance(TIMEOUT_MS - 1);
  expect(await isAnswered()).toBe(false);
  expect(made.preferred).toHaveLength(3);
  await made.env.advance(1);
  expect(await codes()).toEqual([E.REQUEST_TIMED_OUT]);
});
