// The host of a log ends (its thread died) or has no room, while a connection wants something of it. Time
// stands still in these tests: no answer comes because somebody has waited.
import { describe, expect, it } from 'vitest';
import type { Admission } from '../../../src/actors/index.ts';
import {
  Fetch,
  Heartbeat,
  ListOffsets,
  Produce,
  type RequestInput,
} from '../../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { concatBytes } from '../../../src/std/bytes.ts';
import { batchOf, type KafkaClient, KafkaWorld } from './harness.ts';

function produceBody(value: string, acks = -1): RequestInput<typeof Produce> {
  return {
    transactionalId: null,
    acks,
    timeoutMs: 1_000,
    topicData: [{ name: 't', partitionData: [{ index: 0, records: batchOf(value) }] }],
  };
}

function fetchBody(fetchOffset: number): RequestInput<typeof Fetch> {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }];
  const topics = [{ topic: 't', partitions }];
  return { maxWaitMs: 60_000, minBytes: 1, maxBytes: 1_000_000, isolationLevel: 0, topics };
}

const located: RequestInput<typeof ListOffsets> = {
  replicaId: -1,
  isolationLevel: 0,
  topics: [
    { name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }] },
  ],
};

async function produced(client: KafkaClient, value: string): Promise<number | undefined> {
  const answer = await client.call(Produce, 8, produceBody(value));
  return answer.responses[0]?.partitionResponses[0]?.errorCode;
}

function fetchedCode(client: KafkaClient): number | undefined {
  return client.next(Fetch, 11).responses[0]?.partitions[0]?.errorCode;
}

async function end(world: KafkaWorld): Promise<void> {
  world.stopHost();
  await world.env.settle();
}

async function start(world: KafkaWorld): Promise<void> {
  world.startHost();
  await world.env.settle();
}

describe('a log host that ends', () => {
  it('appends on their way to it are answered as unknown, those of after it as not taken', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const client = world.connect();
    log!.isCommitSlow = true;
    client.sendRaw(
      concatBytes(['a', 'b'].map((value) => client.encode(Produce, 8, produceBody(value)))),
    );
    await world.env.settle();
    expect(client.takeFrames()).toEqual([]);
    await end(world);
    const codes = client
      .takeFrames()
      .map((frame) => client.decode(Produce, 8, frame).body.responses[0]!.partitionResponses[0]);
    expect(codes.map((each) => each?.errorCode)).toEqual([
      E.REQUEST_TIMED_OUT,
      E.REQUEST_TIMED_OUT,
    ]);
    expect(log!.end).toBe(2);
    expect(await produced(client, 'c')).toBe(E.NOT_LEADER_OR_FOLLOWER);
    expect(log!.end).toBe(2);
  });

  it('is asked again in its next life, and its next end is heard as well', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const client = world.connect();
    for (let life = 1; life <= 3; life += 1) {
      expect(await produced(client, `life ${life}`)).toBe(E.NONE);
      log!.isMute = true;
      client.send(Produce, 8, produceBody('lost'));
      await world.env.settle();
      await end(world);
      const answer = client.next(Produce, 8);
      expect(answer.responses[0]?.partitionResponses[0]?.errorCode).toBe(E.REQUEST_TIMED_OUT);
      log!.isMute = false;
      await start(world);
    }
  });

  it('a late answer of its next life to what was given up is nobody’s', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const client = world.connect();
    log!.isCommitSlow = true;
    client.send(Produce, 8, produceBody('a'));
    await world.env.settle();
    await end(world);
    expect(client.takeFrames().length).toBe(1);
    for (const tell of log!.heldBack.splice(0)) tell();
    log!.isCommitSlow = false;
    await start(world);
    expect(client.takeFrames()).toEqual([]);
    expect(await produced(client, 'b')).toBe(E.NONE);
  });

  it('closes the connection of a produce that asked for no answer', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const client = world.connect();
    log!.isMute = true;
    client.send(Produce, 8, produceBody('a', 0));
    await world.env.settle();
    expect(client.isClosed).toBe(false);
    await end(world);
    expect(client.isClosed).toBe(true);
  });

  it('long polls are answered, and the polls of its next life hear when there is more', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const client = world.connect();
    client.send(Fetch, 11, fetchBody(0));
    await world.env.settle();
    expect(log!.waiters.length).toBe(1);
    await end(world);
    expect(fetchedCode(client)).toBe(E.NOT_LEADER_OR_FOLLOWER);
    log!.waiters = [];
    await start(world);
    client.send(Fetch, 11, fetchBody(0));
    await world.env.settle();
    expect(client.takeFrames()).toEqual([]);
    log!.append(batchOf('more'));
    world.advanceLog(1);
    await world.env.settle();
    expect(fetchedCode(client)).toBe(E.NONE);
  });

  it('reads, positions and questions to coordinators on their way to it are answered', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    world.create('__consumer_offsets', 1, { kind: 'group', isInternal: true });
    const [reader, asker, member] = [world.connect(), world.connect(), world.connect()];
    log!.isMute = true;
    reader.send(Fetch, 11, fetchBody(0));
    asker.send(ListOffsets, 5, located);
    world.isCoordinatorMute = true;
    member.send(Heartbeat, 3, {
      groupId: 'g',
      generationId: 1,
      memberId: 'm',
      groupInstanceId: null,
    });
    await world.env.settle();
    await end(world);
    expect(fetchedCode(reader)).toBe(E.NOT_LEADER_OR_FOLLOWER);
    const position = asker.next(ListOffsets, 5).topics[0]?.partitions[0];
    expect(position?.errorCode).toBe(E.NOT_LEADER_OR_FOLLOWER);
    expect(member.next(Heartbeat, 3).errorCode).toBe(E.COORDINATOR_NOT_AVAILABLE);
  });
});

describe('a log host without room', () => {
  /** The host answers offers with `admissions` first, as a full ring would. */
  function crowded(world: KafkaWorld, admissions: Admission[]): { makeRoom(): void } {
    const { host } = world;
    const waiting: (() => void)[] = [];
    world.host = {
      id: host.id,
      path: host.path,
      tell: (op, input) => host.tell(op, input),
      offer: (op, input) => admissions.shift() ?? host.offer(op, input),
      ready: () => new Promise((resolve) => waiting.push(resolve)),
      ask: (op, input, options) => host.ask(op, input, options),
    };
    return {
      makeRoom: () => {
        for (const resolve of waiting.splice(0)) resolve();
      },
    };
  }

  it('what found no room is sent in its order when there is some', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const { makeRoom } = crowded(world, ['full', 'full']);
    const client = world.connect();
    client.sendRaw(
      concatBytes(['a', 'b', 'c'].map((value) => client.encode(Produce, 8, produceBody(value)))),
    );
    await world.env.settle();
    expect(log!.end).toBe(0);
    makeRoom();
    await world.env.settle();
    // Once more there was no room.
    expect(log!.end).toBe(0);
    makeRoom();
    await world.env.settle();
    const offsets = client
      .takeFrames()
      .map((frame) => client.decode(Produce, 8, frame).body.responses[0]!.partitionResponses[0])
      .map((each) => each?.baseOffset);
    expect(offsets).toEqual([0, 1, 2]);
  });

  it('what still waits for room when the host ends was not taken; what is refused for good as well', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const admissions: Admission[] = ['accepted', 'full'];
    const { makeRoom } = crowded(world, admissions);
    const client = world.connect();
    client.sendRaw(
      concatBytes(['a', 'b'].map((value) => client.encode(Produce, 8, produceBody(value)))),
    );
    await world.env.settle();
    await end(world);
    const codes = client
      .takeFrames()
      .map((frame) => client.decode(Produce, 8, frame).body.responses[0]!.partitionResponses[0])
      .map((each) => each?.errorCode);
    expect(codes).toEqual([E.REQUEST_TIMED_OUT, E.NOT_LEADER_OR_FOLLOWER]);
    await start(world);
    admissions.push('gone', 'gone');
    client.send(Produce, 8, produceBody('c'));
    await world.env.settle();
    makeRoom();
    await world.env.settle();
    const answer = client.next(Produce, 8);
    expect(answer.responses[0]?.partitionResponses[0]?.errorCode).toBe(E.NOT_LEADER_OR_FOLLOWER);
    expect(log!.end).toBe(0);
  });

  it('what nobody waits for any more is not sent', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const { makeRoom } = crowded(world, ['full']);
    const client = world.connect();
    client.send(Produce, 8, produceBody('a'));
    await world.env.advanceAsync(3_100);
    const answer = client.next(Produce, 8);
    expect(answer.responses[0]?.partitionResponses[0]?.errorCode).toBe(E.REQUEST_TIMED_OUT);
    makeRoom();
    await world.env.settle();
    expect(log!.end).toBe(0);
  });
});
