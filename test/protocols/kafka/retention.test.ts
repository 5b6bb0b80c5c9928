// DeleteRecords and the changes of settings, as a client of the wire sees them: each partition and each resource stands
// for itself, and what is refused changes nothing.
import { describe, expect, it } from 'vitest';
import {
  AlterConfigs,
  DeleteRecords,
  DescribeConfigs,
  IncrementalAlterConfigs,
  ListOffsets,
} from '../../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { batchOf, type KafkaClient, KafkaWorld } from './harness.ts';

const QUEUE = {
  durable: true,
  autoDelete: false,
  owner: undefined,
  arguments: new Uint8Array(0),
  compared: [],
};
const TOPIC = 2;
const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

/** A topic of two partitions with ten records each, and what is none of a client's to delete. */
function world(): KafkaWorld {
  const made = new KafkaWorld();
  for (const log of made.create('t', 2)) log.append(batchOf(...'abcdefghij'));
  made.create('q', 1, { kind: 'queue', queue: QUEUE });
  made.create('own', 1, { isInternal: true });
  return made;
}

async function deleteFrom(
  client: KafkaClient,
  name: string,
  offsets: readonly number[],
  version = 2,
): Promise<(readonly [errorCode: number, lowWatermark: number])[]> {
  const partitions = offsets.map((offset, partitionIndex) => ({ partitionIndex, offset }));
  const body = { topics: [{ name, partitions }], timeoutMs: 1_000 };
  const answer = await client.call(DeleteRecords, version, body);
  return answer.topics[0]!.partitions.map(
    ({ errorCode, lowWatermark }) => [errorCode, lowWatermark] as const,
  );
}

describe('DeleteRecords', () => {
  it.each([0, 1, 2])('version %s moves the start and answers with it', async (version) => {
    const made = world();
    const client = made.connect();
    expect(await deleteFrom(client, 't', [4, -1], version)).toEqual([
      [0, 4],
      [0, 10],
    ]);
    // Going back is no change.
    expect(await deleteFrom(client, 't', [2, 10], version)).toEqual([
      [0, 4],
      [0, 10],
    ]);
    const listed = await client.call(ListOffsets, 4, {
      isolationLevel: 0,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -2 }] }],
    });
    expect(listed.topics[0]!.partitions[0]!.offset).toBe(4);
  });

  it('refuses what is beyond the high watermark, or no offset, partition for partition', async () => {
    const client = world().connect();
    expect(await deleteFrom(client, 't', [11, 3, 0])).toEqual([
      [E.OFFSET_OUT_OF_RANGE, -1],
      [0, 3],
      [E.UNKNOWN_TOPIC_OR_PARTITION, -1],
    ]);
    expect(await deleteFrom(client, 't', [-2])).toEqual([[E.OFFSET_OUT_OF_RANGE, -1]]);
    expect(await deleteFrom(client, 'none', [1])).toEqual([[E.UNKNOWN_TOPIC_OR_PARTITION, -1]]);
  });

  it('refuses queues, internal topics and partitions that are led elsewhere', async () => {
    const made = world();
    const client = made.connect();
    expect(await deleteFrom(client, 'q', [0])).toEqual([[E.POLICY_VIOLATION, -1]]);
    expect(await deleteFrom(client, 'own', [0])).toEqual([[E.INVALID_TOPIC_EXCEPTION, -1]]);
    made.setLeader('t', 2);
    expect(await deleteFrom(client, 't', [1])).toEqual([[E.NOT_LEADER_OR_FOLLOWER, -1]]);
  });

  it('gives the log the time that the client gives', async () => {
    const made = world();
    const client = made.connect();
    const [log] = made.logs.values();
    const partitions = [{ partitionIndex: 0, offset: 1 }];
    for (const timeoutMs of [1_000, 0, 2_000_000_000]) {
      await client.call(DeleteRecords, 2, { topics: [{ name: 't', partitions }], timeoutMs });
    }
    expect(log!.trimTimeouts).toEqual([1_000, 1, 600_000]);
  });

  it('is answered when its time is over, whatever becomes of it', async () => {
    const made = world();
    for (const log of made.logs.values()) log.isMute = true;
    const client = made.connect();
    const partitions = [{ partitionIndex: 0, offset: 1 }];
    client.send(DeleteRecords, 2, { topics: [{ name: 't', partitions }], timeoutMs: 1_000 });
    await made.env.advanceAsync(1_600);
    const [topic] = client.next(DeleteRecords, 2).topics;
    expect(topic!.partitions[0]).toMatchObject({
      errorCode: E.REQUEST_TIMED_OUT,
      lowWatermark: -1,
    });
  });
});

type Entry = readonly [name: string, value: string | null];
type Step = readonly [name: string, operation: number, value: string | null];

async function alter(
  client: KafkaClient,
  configs: readonly Entry[],
  more: {
    resourceType?: number;
    resourceName?: string;
    validateOnly?: boolean;
    version?: number;
  } = {},
): Promise<readonly [number, string | null]> {
  const { resourceType = TOPIC, resourceName = 't', validateOnly = false, version = 2 } = more;
  const named = configs.map(([name, value]) => ({ name, value }));
  const resources = [{ resourceType, resourceName, configs: named }];
  const answer = await client.call(AlterConfigs, version, { resources, validateOnly });
  const { errorCode, errorMessage } = answer.responses[0]!;
  return [errorCode, errorMessage];
}

async function step(
  client: KafkaClient,
  steps: readonly Step[],
  validateOnly = false,
  version = 1,
): Promise<readonly [number, string | null]> {
  const configs = steps.map(([name, configOperation, value]) => ({ name, configOperation, value }));
  const resources = [{ resourceType: TOPIC, resourceName: 't', configs }];
  const answer = await client.call(IncrementalAlterConfigs, version, { resources, validateOnly });
  const { errorCode, errorMessage } = answer.responses[0]!;
  return [errorCode, errorMessage];
}

async function settings(client: KafkaClient): Promise<Record<string, string>> {
  const answer = await client.call(DescribeConfigs, 2, {
    resources: [{ resourceType: TOPIC, resourceName: 't', configurationKeys: null }],
  });
  const own = answer.results[0]!.configs.filter(({ readOnly, configSource }) => {
    return !readOnly && configSource === 1;
  });
  return Object.fromEntries(own.map(({ name, value }) => [name, value!]));
}

describe('DescribeConfigs', () => {
  const described = async (client: KafkaClient) => {
    const answer = await client.call(DescribeConfigs, 2, {
      resources: [
        { resourceType: TOPIC, resourceName: 't', configurationKeys: ['min.insync.replicas'] },
      ],
      includeSynonyms: true,
    });
    const [{ value, configSource, synonyms }] = answer.results[0]!.configs as [
      (typeof answer.results)[0]['configs'][0],
    ];
    return { value, configSource, synonyms: synonyms.map((each) => [each.value, each.source]) };
  };

  it('shows how many replicas must have a record as the cluster has it', async () => {
    const made = world();
    const { logs } = made.destinations.get('t')!;
    const with2 = logs.map((log) => ({ ...log, replicas: [1, 2, 3], minInsync: 2 }));
    made.create('t', 1, { logs: with2 });
    const client = made.connect();
    const byDefault = { value: '2', configSource: 5, synonyms: [['2', 5]] };
    expect(await described(client)).toEqual(byDefault);
    const config = new Map([['min.insync.replicas', '3']]);
    made.create('t', 1, { config, logs: with2.map((log) => ({ ...log, minInsync: 3 })) });
    const synonyms = [
      ['3', 1],
      ['2', 5],
    ];
    expect(await described(client)).toEqual({ value: '3', configSource: 1, synonyms });
  });
});

describe('AlterConfigs', () => {
  it.each([0, 1, 2])('version %s replaces all settings of a topic', async (version) => {
    const client = world().connect();
    const first = [
      ['retention.ms', '5000'],
      ['segment.bytes', '10000'],
    ] as const;
    expect(await alter(client, first, { version })).toEqual([0, null]);
    expect(await settings(client)).toEqual(Object.fromEntries(first));
    expect(await alter(client, [['retention.bytes', '7']], { version })).toEqual([0, null]);
    expect(await settings(client)).toEqual({ 'retention.bytes': '7' });
  });

  it('refuses what it does not know or serve, and changes nothing then or when it only validates', async () => {
    const client = world().connect();
    const good = ['retention.ms', '5000'] as const;
    for (const bad of [
      ['no.such', '1'],
      ['retention.ms', '-2'],
      ['retention.bytes', null],
      ['cleanup.policy', 'archive'],
    ] as const) {
      const [code, message] = await alter(
        client,
        [good, bad].filter(([name], i, all) => {
          return all.findIndex((each) => each[0] === name) === i || i === 1;
        }),
      );
      expect([code, message], bad[0]).toEqual([E.INVALID_CONFIG, expect.stringContaining(bad[0])]);
    }
    expect(await alter(client, [good], { validateOnly: true })).toEqual([0, null]);
    expect(await settings(client)).toEqual({});
  });

  it('is for topics that are streams', async () => {
    const client = world().connect();
    const codeFor = async (resourceType: number, resourceName: string) =>
      (await alter(client, [], { resourceType, resourceName }))[0];
    expect(await codeFor(TOPIC, 'none')).toBe(E.UNKNOWN_TOPIC_OR_PARTITION);
    expect(await codeFor(TOPIC, 'q')).toBe(E.INVALID_REQUEST);
    expect(await codeFor(TOPIC, 'own')).toBe(E.INVALID_REQUEST);
    expect(await codeFor(4, '1')).toBe(E.INVALID_REQUEST);
    expect(await codeFor(8, '1')).toBe(E.INVALID_REQUEST);
  });

  it('leaves what was decided when the topic was made', async () => {
    const made = world();
    made.create('t', 2, { config: new Map([['callboard.broker.names', '2']]) });
    const client = made.connect();
    expect(await alter(client, [['retention.ms', '1']])).toEqual([0, null]);
    expect([...made.destinations.get('t')!.config]).toEqual([
      ['retention.ms', '1'],
      ['callboard.broker.names', '2'],
    ]);
    const [code] = await alter(client, [['callboard.broker.names', '3']]);
    expect(code).toBe(E.INVALID_CONFIG);
    expect((await step(client, [['callboard.broker.names', DELETE, null]]))[0]).toBe(
      E.INVALID_CONFIG,
    );
  });

  it('tells what the metadata refuses', async () => {
    const made = world();
    const message = 'min in-sync 9 of 2 replicas';
    made.metadataResult = { kind: 'refused', code: 'invalid-config', message };
    const client = made.connect();
    expect(await alter(client, [['min.insync.replicas', '9']])).toEqual([
      E.INVALID_CONFIG,
      message,
    ]);
  });
});

describe('IncrementalAlterConfigs', () => {
  it.each([0, 1])('version %s sets and deletes one by one', async (version) => {
    const client = world().connect();
    await step(client, [['retention.ms', SET, '5000']], false, version);
    await step(client, [['retention.bytes', SET, '7']], false, version);
    expect(await settings(client)).toEqual({ 'retention.ms': '5000', 'retention.bytes': '7' });
    expect(await step(client, [['retention.ms', DELETE, null]], false, version)).toEqual([0, null]);
    expect(await settings(client)).toEqual({ 'retention.bytes': '7' });
  });

  it('appends to lists and subtracts from them, and from nothing else', async () => {
    const client = world().connect();
    expect((await step(client, [['cleanup.policy', APPEND, 'delete']]))[0]).toBe(0);
    expect(await settings(client)).toEqual({ 'cleanup.policy': 'delete' });
    expect((await step(client, [['cleanup.policy', APPEND, 'compact']]))[0]).toBe(0);
    expect(await settings(client)).toEqual({ 'cleanup.policy': 'delete,compact' });
    expect((await step(client, [['cleanup.policy', SUBTRACT, 'delete']]))[0]).toBe(0);
    expect(await settings(client)).toEqual({ 'cleanup.policy': 'compact' });
    for (const [name, operation, value] of [
      ['cleanup.policy', APPEND, 'archive'],
      ['cleanup.policy', SUBTRACT, 'compact'],
      ['retention.ms', APPEND, '1'],
    ] as const) {
      expect((await step(client, [[name, operation, value]]))[0], name).toBe(E.INVALID_CONFIG);
    }
    expect(await settings(client)).toEqual({ 'cleanup.policy': 'compact' });
  });

  it('sets the durability, one of four, and what is shown says from where it is', async () => {
    const client = world().connect();
    const name = 'callboard.durability';
    for (const mode of ['replicated', 'async', 'memory', 'sync']) {
      expect(await step(client, [[name, SET, mode]])).toEqual([0, null]);
      expect(await settings(client)).toEqual({ [name]: mode });
    }
    expect(await step(client, [[name, SET, 'Async']])).toEqual([
      E.INVALID_CONFIG,
      'callboard.durability: must be one of sync, replicated, async, memory, not "Async"',
    ]);
    expect(await step(client, [[name, DELETE, null]])).toEqual([0, null]);
    expect(await settings(client)).toEqual({});
  });

  it('refuses unknown names and operations, doubled names, and values that are none', async () => {
    const client = world().connect();
    const good = ['retention.ms', SET, '5000'] as const;
    expect((await step(client, [good, ['no.such', DELETE, null]]))[0]).toBe(E.INVALID_CONFIG);
    expect((await step(client, [good, ['segment.ms', SET, null]]))[0]).toBe(E.INVALID_CONFIG);
    expect((await step(client, [good, ['segment.ms', 9, '1']]))[0]).toBe(E.INVALID_REQUEST);
    expect((await step(client, [good, good]))[0]).toBe(E.INVALID_REQUEST);
    expect((await step(client, [good], true))[0]).toBe(0);
    expect(await settings(client)).toEqual({});
  });
});
