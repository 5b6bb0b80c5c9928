// Worker threads under load: nothing of a message is posted and bells are few. The node runs in this
// process over real worker threads, so that the test can read the counters of both sides.
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
import { freshFolder, until } from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser } from './support/kafka.ts';

const SHARDS = 2;
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

beforeEach(() => {
  folder = freshFolder();
  open = undefined;
  user = undefined;
});

afterEach(async () => {
  await user?.close();
  await open?.node.stop();
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
  const [linkPort, kafkaPort, httpPort] = [await freePort(), await freePort(), await freePort()];
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
    nodes: [{ id: 1, host, linkPort, kafkaPort, httpPort }],
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
  // Half of the produces cross from the connection's shard to the other: the rings were used.
  expect(value('ring.recordsSent')).toBeGreaterThan(requests);
  expect(value('ring.bells')).toBeLessThanOrEqual(value('turns') * SHARDS);
  expect(env.threads.counters.bellsRung).toBeLessThanOrEqual(value('main.turns') * SHARDS);
  expect(value('net.socketWrites')).toBeLessThanOrEqual(value('kafka.requests') + 10);
}, 90_000);
