// Durable actors on a node with worker threads that die under load: each command is decided once, in order. The
// threads import the kinds of the example by its URL; what they find is compared with what the main thread has.
import fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { durable } from '../../src/actors/durable/event-sourced.ts';
import { ask, protocol } from '../../src/actors/index.ts';
import { nodeStarter } from '../../src/assembly/node.ts';
import type { NodeEvent } from '../../src/assembly/node-config.ts';
import type { ProbedNode } from '../../src/assembly/probe.ts';
import { type WorkerShards, workerShards } from '../../src/assembly/worker-shards.ts';
import { none, u32, u53 } from '../../src/codec/index.ts';
import { createNodeEnvironment } from '../../src/env/node/environment.ts';
import { createNodeLog } from '../../src/env/node/log.ts';
import { freshFolder, until } from '../../tools/lib/dev-cluster.mjs';

const SHARDS = 2;
const ROUNDS = 4;
const ACCOUNTS = 8;
const within = { timeoutMs: 60_000 };
const workerEntry = new URL('../../dist/worker.js', import.meta.url);
const example = new URL('../../examples/replicated-account/kinds.mjs', import.meta.url).href;

/** As in the example. */
const Account = durable(
  protocol('account', 1, { deposit: ask(u32, u53), balance: ask(none, u53) }),
  {
    events: { deposited: u32 },
    state: u53,
    initial: () => 0,
    decide: {
      deposit: (balance, amount) => ({
        events: [{ type: 'deposited', value: amount }],
        reply: balance + amount,
      }),
      balance: (balance) => ({ reply: balance }),
    },
    apply: { deposited: (balance, amount) => balance + amount },
  },
);

let folder: string;
let node: ProbedNode | undefined;
let events: NodeEvent[];
let shards: WorkerShards | undefined;

beforeEach(() => {
  folder = freshFolder();
  events = [];
});

afterEach(async () => {
  await node?.stop();
  node = undefined;
  fs.rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(durableKinds: string): Promise<void> {
  process.env['CALLBOARD_LOG_LEVEL'] = 'silent';
  const host = '127.0.0.1';
  const makeShards = workerShards(workerEntry);
  const startNode = nodeStarter({
    kinds: [Account],
    makeShards(options) {
      shards = makeShards(options);
      return shards;
    },
  });
  const env = createNodeEnvironment({ dataRoot: folder, log: createNodeLog({ level: 'silent' }) });
  const [linkPort, kafkaPort, httpPort] = [await freePort(), await freePort(), await freePort()];
  const [amqpPort, rocketmqPort] = [await freePort(), await freePort()];
  node = await startNode(env, {
    clusterId: 'threads',
    nodeId: 1,
    nodes: [{ id: 1, host, linkPort, kafkaPort, amqpPort, rocketmqPort, httpPort }],
    dataRoot: folder,
    shards: SHARDS,
    host,
    token: 'secret',
    isFounding: true,
    durableKinds,
  });
  node.onEvent((event) => events.push(event));
  await until('the node is ready', () => events.some(({ event }) => event === 'ready'));
}

it('their threads die, and no command is lost, doubled or out of order', async () => {
  await start(example);
  const actors = node!.durable;
  const names = Array.from({ length: ACCOUNTS }, (_, i) => `account ${i}`);
  for (const name of names) await actors.create(Account, name);
  let isOver = false;
  const last = new Map<string, number>();
  const load = async (name: string): Promise<void> => {
    const ref = actors.ref(Account, name);
    while (!isOver) {
      const balance = last.get(name) ?? 0;
      const burst = Array.from({ length: 5 }, () => ref.ask('deposit', 1, within));
      const answers = await Promise.all(burst);
      expect(answers).toEqual(burst.map((_, i) => balance + i + 1));
      last.set(name, balance + burst.length);
    }
  };
  const loads = Promise.all(names.map(load));
  const total = () => [...last.values()].reduce((a, b) => a + b, 0);
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = total();
    await until('deposits go on', () => total() >= before + 200);
    shards!.kill(1 + (round % SHARDS));
  }
  const before = total();
  await until('deposits go on', () => total() >= before + 200);
  isOver = true;
  await loads;
  for (const name of names) {
    const balance = await actors.ref(Account, name).ask('balance', undefined, within);
    expect(balance).toBe(last.get(name));
  }
}, 120_000);

it('threads that find other kinds than the main thread do not begin', async () => {
  const other = join(folder, 'kinds.mjs');
  const text = fs.readFileSync(new URL(example), 'utf8').replace("'account', 1", "'account', 2");
  // Where the package is found.
  const doors = new URL('../../dist/doors/', import.meta.url).href;
  fs.writeFileSync(other, text.replace(/'callboard\/(\w+)'/g, `'${doors}$1.js'`));
  const started = start(pathToFileURL(other).href);
  await expect(started).rejects.toThrow(/is another one than when the node began/);
}, 60_000);
