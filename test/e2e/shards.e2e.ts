// Worker threads under load. Nothing of a message is posted and bells are few: that node runs in this
// process, so that the test can read the counters of both sides. And threads that die, of nodes in a process
// of their own: it lives, its ports answer, what was acknowledged is there, and nobody waits in vain.
import fs from 'node:fs';
import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { recordBatch, WireClient } from '../../bench/lib/kafka-wire.ts';
import { nodeStarter } from '../../src/assembly/node.ts';
import type { NodeEvent, RunningNode } from '../../src/assembly/node-config.ts';
import { workerShards } from '../../src/assembly/worker-shards.ts';
import { createNodeEnvironment, type NodeEnvironment } from '../../src/env/node/environment.ts';
import { createHttpServer } from '../../src/env/node/http.ts';
import { createNodeLog } from '../../src/env/node/log.ts';
import { Code } from '../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { freshFolder, until } from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser, take } from './support/kafka.ts';
import { placeOf, RocketCaller } from './support/rocketmq.ts';
import { ThreadedNodes } from './support/threaded-nodes.ts';
import { WriteLoad } from './support/write-load.ts';

const SHARDS = 2;
const NODES = 3;
const ROUNDS = 20;
const PARTITIONS = 6;
/** What must be acknowledged in every partition before the next thread dies. */
const WRITES_PER_ROUND = 10;
const workerEntry = new URL('../../dist/worker.js', import.meta.url);

interface ThreadedNode {
  readonly env: NodeEnvironment;
  readonly node: RunningNode;
  readonly kafka: string;
  readonly http: string;
}

let folder: string;
let open: ThreadedNode | undefined;
let user: KafkaUser | undefined;
let threaded: ThreadedNodes | undefined;

beforeEach(() => {
  folder = freshFolder();
  open = undefined;
  user = undefined;
  threaded = undefined;
});

afterEach(async () => {
  await user?.close();
  await open?.node.stop();
  await threaded?.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function start(): Promise<ThreadedNode> {
  const [linkPort, kafkaPort] = [await freePort(), await freePort()];
  const [httpPort, amqpPort, rocketmqPort] = [await freePort(), await freePort(), await freePort()];
  const host = '127.0.0.1';
  // The threads log to stderr by themselves: only what nobody expects.
  process.env['CALLBOARD_LOG_LEVEL'] = 'silent';
  const log = createNodeLog({ level: 'silent' });
  const env = createNodeEnvironment({ dataRoot: folder, log });
  const startNode = nodeStarter({
    makeShards: workerShards(workerEntry),
    http: createHttpServer({ log, names: [] }),
  });
  const node = await startNode(env, {
    clusterId: 'threads',
    nodeId: 1,
    nodes: [{ id: 1, host, linkPort, kafkaPort, amqpPort, rocketmqPort, httpPort }],
    dataRoot: folder,
    shards: SHARDS,
    host,
    token: 'secret',
    isFounding: true,
  });
  const events: NodeEvent[] = [];
  node.onEvent((event) => events.push(event));
  const kafka = `${host}:${kafkaPort}`;
  const http = `http://${host}:${httpPort}`;
  open = { env, node, kafka, http };
  await until('the node is ready', () => events.some(({ event }) => event === 'ready'));
  user = new KafkaUser([kafka]);
  return open;
}

it('under load no message byte is posted, a turn rings each peer once at most, and writes once', async () => {
  const { env, http, kafka } = await start();
  const partitions = 4;
  await user!.topic('counted', partitions);
  const requests = 300;
  const clients = await Promise.all(Array.from({ length: 4 }, () => WireClient.connect(kafka)));
  const batch = recordBatch([Buffer.alloc(2_000, 1)]);
  await Promise.all(
    clients.map(async (client, at) => {
      for (let i = 0; i < requests; i += 1) {
        const to = {
          topic: 'counted',
          partition: (at + i) % partitions,
          acks: -1,
          timeoutMs: 5_000,
        };
        expect((await client.produce(to, batch)).errorCode).toBe(0);
      }
    }),
  );
  for (const client of clients) client.close();
  const read = async () =>
    (await (await fetch(`${http}/api/counters`)).json()) as Record<string, number>;
  // The threads report now and then: until they have told everything.
  const of = await until('the counters are told', async () => {
    const counters = await read();
    return (counters['kafka.requests'] ?? 0) >= requests * clients.length ? counters : undefined;
  });
  const value = (name: string): number => {
    const found = of[name];
    if (found === undefined) throw new Error(`no counter ${name} in ${Object.keys(of)}`);
    return found;
  };
  expect(value('threads.postedBytes')).toBe(0);
  expect(env.threads.counters.postedBytes).toBe(0);
  // Nor does a message ever wait for a control call.
  expect(value('threads.controlCalls')).toBe(0);
  expect(env.threads.counters.controlCalls).toBe(0);
  // Half of the produces cross from the connection's shard to the other: the rings were used.
  expect(value('ring.recordsSent')).toBeGreaterThan(requests);
  expect(value('ring.bells')).toBeLessThanOrEqual(value('turns') * SHARDS);
  expect(env.threads.counters.bellsRung).toBeLessThanOrEqual(value('main.turns') * SHARDS);
  expect(value('net.socketWrites')).toBeLessThanOrEqual(value('kafka.requests') + 10);
}, 90_000);

async function answers(address: string, topic: string): Promise<void> {
  const client = await WireClient.connect(address);
  expect((await client.metadata([topic])).topics[0]?.errorCode).toBe(0);
  client.close();
}

async function untilAllInSync(address: string, topic: string): Promise<void> {
  const client = await WireClient.connect(address);
  await until('every replica is in sync', async () => {
    const { partitions } = (await client.metadata([topic])).topics[0]!;
    return partitions.length === PARTITIONS && partitions.every((one) => one.isrCount === NODES);
  });
  client.close();
}

async function untilRead(load: WriteLoad): Promise<void> {
  const taken = await take(await user!.consumer({ groupId: 'afterwards' }), load.topic);
  await until('everything acknowledged is read', () => {
    const read = new Set(taken.map(({ value }) => value));
    return [...load.acked].every((id) => read.has(id));
  });
}

it('a shard killed under load 20 times: the process lives, the port answers, nobody waits in vain', async () => {
  threaded = await ThreadedNodes.start(NODES, SHARDS);
  const { pid, kafka } = threaded;
  user = new KafkaUser([...kafka]);
  await user.topic('deaths', PARTITIONS, NODES);
  const load = new WriteLoad(kafka, 'deaths');
  for (let i = 0; i < 2 * PARTITIONS; i += 1) load.write(`w${i}`, i % PARTITIONS);
  for (let i = 0; i < PARTITIONS; i += 1) load.follow(i);
  load.produce('kafkajs', await user.producer({ retry: { retries: 0 } }));
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = [...load.ackedOf];
    const node = 1 + (round % NODES);
    await threaded.kill(node, 1 + (round % SHARDS));
    await answers(kafka[node - 1]!, 'deaths');
    await until(`every log goes on after death ${round + 1}`, () =>
      before.every((count, partition) => load.ackedOf[partition]! >= count + WRITES_PER_ROUND),
    );
  }
  await load.stop();
  expect(threaded.isAlive).toBe(true);
  expect(threaded.pid).toBe(pid);
  expect(load.acked.size).toBeGreaterThan(ROUNDS * PARTITIONS * WRITES_PER_ROUND);
  // Errors there are, and connections that end with their thread, but nobody ran out of patience.
  const impatient = [...load.ends.keys()].filter((end) => /timeout/.test(end));
  expect(impatient, JSON.stringify([...load.ends])).toEqual([]);
  await untilAllInSync(kafka[0]!, 'deaths');
  await untilRead(load);
}, 240_000);

it('the only shard of a node dies: who connects meanwhile is served when it is back', async () => {
  threaded = await ThreadedNodes.start(1, 1);
  user = new KafkaUser([...threaded.kafka]);
  await user.topic('alone', 1, 1);
  for (let round = 0; round < 3; round += 1) {
    await threaded.kill(1, 1);
    await answers(threaded.kafka[0]!, 'alone');
  }
  expect(threaded.isAlive).toBe(true);
}, 90_000);

it('shards die under a client of RocketMQ: what was sent is there, and acknowledged stays so', async () => {
  threaded = await ThreadedNodes.start(1, SHARDS);
  const address = threaded.rocketmq[0]!;
  /** One call on a connection of its own, which any shard may get: again while its thread is gone. */
  const call = <T>(what: string, ask: (caller: RocketCaller) => Promise<T | false>): Promise<T> =>
    until(what, async () => {
      const caller = new RocketCaller(address, 'threads');
      try {
        return await ask(caller);
      } finally {
        caller.close();
      }
    });
  const sent = new Set<string>();
  const received = new Set<string>();
  const done = new Set<string>();
  /** What came although its acknowledgement had been answered. */
  const afterwards: string[] = [];
  const consume = async (caller: RocketCaller): Promise<number> => {
    const handles = await caller.receive('dying', 'group', 10);
    for (const [body, handle] of handles) {
      received.add(body);
      if (done.has(placeOf(handle))) afterwards.push(body);
    }
    const codes = await caller.acknowledge('dying', 'group', [...handles.values()]);
    [...handles.values()].forEach((handle, at) => {
      if (codes[at] === Code.OK) done.add(placeOf(handle));
    });
    return handles.size;
  };
  for (let round = 0; round < 6; round += 1) {
    for (let i = 0; i < 10; i += 1) {
      const body = `${round}-${i}`;
      await call('it is stored', async (caller) => (await caller.send('dying', body)) === Code.OK);
      sent.add(body);
    }
    await threaded.kill(1, 1 + (round % SHARDS));
    await call('something comes', async (caller) => (await consume(caller)) > 0);
  }
  await call('everything has come', async (caller) => {
    await consume(caller);
    return received.size === sent.size;
  });
  expect(received).toEqual(sent);
  expect(afterwards).toEqual([]);
  expect(done.size).toBeGreaterThanOrEqual(sent.size / 2);
  expect(threaded.isAlive).toBe(true);
}, 120_000);
