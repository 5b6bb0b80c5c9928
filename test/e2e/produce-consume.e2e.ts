// Messages through kafkajs: every acknowledgement level, groups, compression, long polls, and restarts.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CompressionTypes } from 'kafkajs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type DevCluster, freshFolder, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { counterSum } from './support/api.ts';
import { KafkaUser, numbered, take, untilTaken } from './support/kafka.ts';

let cluster: DevCluster;
let user: KafkaUser;

beforeAll(async () => {
  cluster = await startDev();
});

afterAll(async () => {
  await cluster?.stop();
});

beforeEach(() => {
  user = new KafkaUser(cluster.brokers);
});

afterEach(async () => {
  await user.close();
});

describe('produce', () => {
  it.each([1, -1])(
    'acks %i answers with the offset from which the messages can be read',
    async (acks) => {
      const topic = `acks${acks}`;
      await user.topic(topic);
      const producer = await user.producer();
      const messages = numbered(20);
      const [first] = await producer.send({ topic, acks, messages });
      const [second] = await producer.send({ topic, acks, messages });
      expect(first).toMatchObject({ errorCode: 0, baseOffset: '0' });
      expect(second).toMatchObject({ errorCode: 0, baseOffset: '20' });
      const taken = await take(await user.consumer({ groupId: topic }), topic);
      await untilTaken(taken, 40);
      expect(taken.map(({ offset }) => offset)).toEqual([...Array(40).keys()]);
    },
  );

  it('acks 0 gets no answer, and the messages arrive', async () => {
    await user.topic('acks0');
    const producer = await user.producer();
    await producer.send({ topic: 'acks0', acks: 0, messages: numbered(20) });
    const taken = await take(await user.consumer({ groupId: 'acks0' }), 'acks0');
    await untilTaken(taken, 20);
    expect(taken.map(({ value }) => value)).toEqual(numbered(20).map(({ value }) => value));
  });

  it('keeps headers, empty values, keys and timestamps as they were sent', async () => {
    await user.topic('faithful');
    const producer = await user.producer();
    const timestamp = '1700000000123';
    await producer.send({
      topic: 'faithful',
      messages: [
        { key: 'ключ', value: Buffer.from([0, 255, 10]), headers: { h: 'välue' }, timestamp },
        { key: null, value: null },
      ],
    });
    const consumer = await user.consumer({ groupId: 'faithful' });
    const taken: unknown[] = [];
    await consumer.subscribe({ topic: 'faithful', fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        const { key, value, headers } = message;
        const isOld = message.timestamp === timestamp;
        taken.push([key?.toString(), value && [...value], headers?.['h']?.toString(), isOld]);
      },
    });
    await until('both arrive', () => taken.length === 2);
    expect(taken).toEqual([
      ['ключ', [0, 255, 10], 'välue', true],
      [undefined, null, undefined, false],
    ]);
  });

  it('gzip batches are stored as they came: fewer bytes leave for the consumer than the values have', async () => {
    await user.topic('zipped');
    const producer = await user.producer();
    const value = 'all work and no play '.repeat(500);
    const messages = Array.from({ length: 50 }, () => ({ value }));
    await producer.send({ topic: 'zipped', compression: CompressionTypes.GZIP, messages });
    const before = await counterSum(cluster.nodes, /bytesOut/);
    const taken = await take(await user.consumer({ groupId: 'zipped' }), 'zipped');
    await untilTaken(taken, messages.length);
    const [node] = cluster.nodes;
    const read = await fetch(`${node?.http}/api/destinations/zipped/messages?max=1`);
    expect(await read.json()).toMatchObject({ messages: [{ value, offset: 0 }] });
    const sentBytes = (await counterSum(cluster.nodes, /bytesOut/)) - before;
    expect(taken.every((one) => one.value === value)).toBe(true);
    expect(sentBytes).toBeLessThan((value.length * messages.length) / 2);
  });
});

describe('groups', () => {
  it('two consumers of a group share the partitions, and the survivor takes over all of them', async () => {
    await user.topic('shared', 4);
    const first = await user.consumer({ groupId: 'shared' });
    const second = await user.consumer({ groupId: 'shared' });
    const shares = new Map<unknown, number[]>();
    for (const consumer of [first, second]) {
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        shares.set(consumer, payload.memberAssignment['shared'] ?? []);
      });
    }
    const takenByFirst = await take(first, 'shared');
    const takenBySecond = await take(second, 'shared');
    await until('each has two partitions', () => {
      return [first, second].every((consumer) => shares.get(consumer)?.length === 2);
    });
    const producer = await user.producer();
    const toAll = (prefix: string) =>
      [0, 1, 2, 3].map((partition) => ({ partition, value: `${prefix}${partition}` }));
    await producer.send({ topic: 'shared', messages: toAll('a') });
    await until('all four arrive', () => takenByFirst.length + takenBySecond.length === 4);
    expect(takenByFirst).toHaveLength(2);
    await second.disconnect();
    await until('the first has all', () => shares.get(first)?.length === 4);
    await producer.send({ topic: 'shared', messages: toAll('b') });
    await untilTaken(takenByFirst, 6);
    expect(
      takenByFirst
        .slice(2)
        .map(({ value }) => value)
        .sort(),
    ).toEqual(['b0', 'b1', 'b2', 'b3']);
  });

  it('a member that dies without a word is replaced when its session ends', async () => {
    await user.topic('vanish', 2);
    const script = fileURLToPath(new URL('./support/lone-consumer.mjs', import.meta.url));
    const args = [script, cluster.brokers.join(), 'vanish', 'vanish', '6000'];
    const doomed = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await once(doomed.stdout, 'data');
      const heir = await user.consumer({ groupId: 'vanish', sessionTimeout: 6_000 });
      let share: number[] = [];
      heir.on(heir.events.GROUP_JOIN, ({ payload }) => {
        share = payload.memberAssignment['vanish'] ?? [];
      });
      await take(heir, 'vanish');
      await until('the heir has one', () => share.length === 1);
      doomed.kill('SIGKILL');
      await until('the heir has both', () => share.length === 2);
    } finally {
      doomed.kill('SIGKILL');
    }
  });

  it('describes and lists the group with its members', async () => {
    await user.topic('listed');
    const consumer = await user.consumer({ groupId: 'listed' });
    await take(consumer, 'listed');
    const admin = await user.admin();
    await until('the group is stable', async () => {
      const { groups } = await admin.describeGroups(['listed']);
      return groups[0]?.state === 'Stable' && groups[0].members.length === 1;
    });
    const { groups } = await admin.listGroups();
    expect(groups.map(({ groupId }) => groupId)).toContain('listed');
  });
});

it('a fetch waits for its time when nothing comes, and answers at once when something does', async () => {
  await user.topic('poll');
  const consumer = await user.consumer({ groupId: 'poll', maxWaitTimeInMs: 2_000 });
  let fetches = 0;
  let arrivedMs = 0;
  consumer.on(consumer.events.FETCH, () => {
    fetches += 1;
  });
  await consumer.subscribe({ topic: 'poll', fromBeginning: true });
  await consumer.run({
    eachMessage: async () => {
      arrivedMs = performance.now();
    },
  });
  await until('the first fetch has ended', () => fetches > 0);
  const before = fetches;
  const producer = await user.producer();
  const startMs = performance.now();
  while (performance.now() - startMs < 3_000) await new Promise((r) => setTimeout(r, 100));
  // Three seconds of nothing are one or two polls of two seconds, not thirty of a hundred.
  expect(fetches - before).toBeLessThanOrEqual(3);
  const sentMs = performance.now();
  await producer.send({ topic: 'poll', messages: numbered(1) });
  await until('it arrives', () => arrivedMs > 0);
  expect(arrivedMs - sentMs).toBeLessThan(1_500);
});

it('messages and committed offsets are there after a stop and after kill -9 of everything', async () => {
  const data = `${freshFolder()}/data`;
  let own = await startDev({ data });
  const { basePort } = own;
  let someone = new KafkaUser(own.brokers);
  try {
    await someone.topic('kept', 3);
    const sent: string[] = [];
    const seen: string[] = [];
    for (const [round, end] of (['stop', 'killAll', 'stop'] as const).entries()) {
      const producer = await someone.producer();
      const messages = numbered(30, `${round}-`);
      await producer.send({ topic: 'kept', acks: -1, messages });
      sent.push(...messages.map(({ value }) => value));
      const consumer = await someone.consumer({ groupId: 'kept' });
      const taken = await take(consumer, 'kept');
      await untilTaken(taken, 30);
      // Leaving commits what was handled; the next round must begin behind it.
      await consumer.disconnect();
      seen.push(...taken.map(({ value }) => value));
      await someone.close();
      await own[end]();
      if (round === 2) break;
      own = await startDev({ data, basePort });
      someone = new KafkaUser(own.brokers);
    }
    expect(seen.sort()).toEqual(sent.sort());
  } finally {
    await someone.close();
    await own.stop();
  }
}, 120_000);
