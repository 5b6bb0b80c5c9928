// Three nodes as processes, and a fourth that nobody's list has: it joins by address and token while kafkajs and amqplib
// write, gets its share, is killed and started again by its folder alone; an old one leaves. Nobody's client is restarted.
// And who may not join ends with a reason and an exit code of its own.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { type ChannelModel, connect } from 'amqplib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ApiCluster } from '../../src/admin/api-types.ts';
import type { AddPlan } from '../../src/cli/cluster-add.ts';
import {
  BIN,
  type DevCluster,
  freeBasePort,
  freshFolder,
  shardsWanted,
  startDev,
  until,
} from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser } from './support/kafka.ts';

const NEW = 4;
const OLD = 3;
const PARTITIONS = 12;
/** Of a share after a rebalance. */
const UNEVEN_PART = 0.1;

let cluster: DevCluster;
let folder: string;
let user: KafkaUser;
let amqp: ChannelModel;
let joined: Joined | undefined;

class Joined {
  readonly child: ChildProcess;
  #log = '';

  constructor(...words: string[]) {
    this.child = spawn(process.execPath, [BIN, 'server', ...words], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CALLBOARD_TOKEN: tokenOf(cluster) },
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', (chunk) => {
        this.#log += String(chunk);
      });
    }
  }

  async ready(): Promise<void> {
    const isReady = () => {
      if (this.child.exitCode !== null) throw new Error(this.#log);
      return this.#log.includes('"msg":"ready"');
    };
    await until('the node that joins is ready', isReady, 60_000);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await until('it ends', () => this.child.exitCode !== null || this.child.signalCode !== null);
  }
}

function tokenOf({ data }: DevCluster): string {
  return run('token').token;
  function run(word: string): { token: string } {
    const words = [BIN, 'cluster', word, '--json', '--data', data];
    return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }));
  }
}

function run<T = ApiCluster>(...args: string[]): T {
  const words = [BIN, 'cluster', ...args, '--json', '--data', cluster.data];
  return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }));
}

/** Ends of itself: it is refused. */
function refused(token: string, ...words: string[]) {
  const { status, stderr, stdout } = spawnSync(process.execPath, [BIN, 'server', ...words], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, CALLBOARD_TOKEN: token },
    timeout: 60_000,
  });
  return { status, said: stdout + stderr };
}

beforeAll(async () => {
  folder = freshFolder('callboard-join-');
  cluster = await startDev({ nodes: 3, restart: '500ms' });
  user = new KafkaUser(cluster.brokers);
  amqp = await connect(cluster.nodes[0]!.amqp);
}, 120_000);

afterAll(async () => {
  await user?.close();
  await amqp?.close().catch(() => undefined);
  await joined?.kill();
  await cluster?.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

it('a node joins under writes, leads its share within a minute, and an old one is removed', async () => {
  await user.topic('t', PARTITIONS);
  const producer = await user.producer({ retry: { retries: 20, maxRetryTime: 3_000 } });
  const channel = await amqp.createConfirmChannel();
  await channel.assertQueue('q', { durable: true });
  const got = new Set<string>();
  const sent = { kafka: [] as string[], amqp: [] as string[] };
  await channel.consume('q', (message) => {
    if (message === null) return;
    got.add(message.content.toString());
    channel.ack(message);
  });
  const state = { isOver: false };
  const writing = Promise.all([
    (async () => {
      for (let i = 0; !state.isOver; i += 1) {
        const value = `m${i}`;
        await producer.send({ topic: 't', messages: [{ value, partition: i % PARTITIONS }] });
        sent.kafka.push(value);
      }
    })(),
    (async () => {
      for (let i = 0; !state.isOver; i += 1) {
        const value = `a${i}`;
        await new Promise<void>((resolve, reject) => {
          const options = { persistent: true };
          channel.sendToQueue('q', Buffer.from(value), options, (error: unknown) =>
            error ? reject(error) : resolve(),
          );
        });
        sent.amqp.push(value);
      }
    })(),
  ]);
  await until('some are written', () => sent.kafka.length > 20 && sent.amqp.length > 20, 60_000);

  const plan = run<AddPlan>('add');
  expect(plan.id).toBe(NEW);
  joined = new Joined(...plan.arguments, '--shards', String(shardsWanted()));
  await joined.ready();
  const startedMs = performance.now();
  const even = run('rebalance', '--wait');
  const tookMs = performance.now() - startedMs;
  process.stdout.write(`rebalanced in ${Math.round(tookMs)} ms\n`);
  expect(tookMs).toBeLessThan(60_000);
  const evenly = (): boolean => {
    const counts = run('info').nodes.map(({ leaderCount }) => leaderCount);
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    const slack = Math.max(1, UNEVEN_PART * mean);
    return counts.length === 4 && counts.every((count) => Math.abs(count - mean) <= slack);
  };
  expect(even.nodes).toHaveLength(4);
  await until('leaders are even', evenly, 60_000);
  expect(performance.now() - startedMs).toBeLessThan(60_000);
  const admin = await user.admin();
  const { brokers } = await admin.describeCluster();
  expect(brokers.map(({ nodeId }) => nodeId).sort()).toEqual([1, 2, 3, NEW]);
  const { topics } = await admin.fetchTopicMetadata({ topics: ['t'] });
  expect(topics[0]!.partitions.some(({ leader }) => leader === NEW)).toBe(true);
  await writesGoOn(sent);

  // Killed and started by its folder alone; its configuration there is its owner's only.
  await joined.kill();
  const data = join(folder, plan.dataFolder);
  expect(fs.statSync(join(data, 'server.json')).mode & 0o777).toBe(0o600);
  joined = new Joined('--data', plan.dataFolder);
  await joined.ready();
  await writesGoOn(sent);

  run('drain', `${OLD}`, '--wait');
  const removed = run('remove', `${OLD}`);
  expect(removed.nodes.map(({ id }) => id)).toEqual([1, 2, NEW]);
  await until('it ends', () => cluster.logOf(OLD).includes('NODE_REMOVED'), 30_000);
  await writesGoOn(sent);
  state.isOver = true;
  await writing;
  const offsets = await admin.fetchTopicOffsets('t');
  const stored = offsets.reduce((sum, { high }) => sum + Number(high), 0);
  expect(stored).toBeGreaterThanOrEqual(sent.kafka.length);
  const read = new Set<string>();
  const consumer = await user.consumer({ groupId: 'reader' });
  await consumer.subscribe({ topic: 't', fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      read.add(String(message.value));
    },
  });
  await until('all are read', () => sent.kafka.every((value) => read.has(value)), 60_000);
  await until('all are consumed', () => sent.amqp.every((value) => got.has(value)), 60_000);
}, 300_000);

async function writesGoOn(sent: { kafka: string[]; amqp: string[] }): Promise<void> {
  const [kafka, rabbit] = [sent.kafka.length, sent.amqp.length];
  const isOn = () => sent.kafka.length > kafka + 20 && sent.amqp.length > rabbit + 20;
  await until('writes go on', isOn, 60_000);
}

it('dev starts again without the node that was removed', async () => {
  const { data, basePort } = cluster;
  const owned = cluster;
  await user.close();
  await amqp.close().catch(() => undefined);
  // Its folder stays: the copy goes with the test.
  const copy = join(folder, 'again');
  await owned.killAll();
  fs.cpSync(data, copy, { recursive: true });
  cluster = await startDev({ data: copy, basePort, restart: '500ms' });
  await owned.stop();
  expect(cluster.nodes.map(({ id }) => id)).toEqual([1, 2]);
  const { nodes } = run('info');
  expect(nodes.map(({ id }) => id)).toEqual([1, 2, NEW]);
}, 120_000);

it('who may not join is told why, each with an exit code of its own', async () => {
  const plan = run<AddPlan>('add');
  const token = tokenOf(cluster);
  const members = ['--join', plan.join.join(',')];
  const free = await freeBasePort(1);
  const ports = ['link', 'kafka', 'amqp', 'rocketmq', 'http'].flatMap((name, i) => [
    `--${name}-port`,
    `${free + 100 * i}`,
  ]);
  const [id, data] = [
    ['--id', String(plan.id)],
    ['--data', 'refused'],
  ];

  const stranger = refused('guessed', ...members, ...id, ...data, ...ports);
  expect(stranger.said).toContain('NODE_JOIN_TOKEN');
  expect(stranger.said).not.toContain(token);
  expect(stranger.status).toBe(6);

  const twice = refused(token, ...members, '--id', '1', ...data, ...ports);
  expect(twice.said).toContain('NODE_JOIN_ID_TAKEN');
  expect(twice.status).toBe(5);
  expect(fs.existsSync(join(folder, 'refused', 'node.json'))).toBe(false);
  expect(fs.existsSync(join(folder, 'refused', 'server.json'))).toBe(false);

  const nodeFile = join(folder, 'refused', 'node.json');
  const foreign = { clusterId: 'elsewhere', nodeId: plan.id, incarnation: 7, bootCounter: 1 };
  const text = JSON.stringify({ format: 1, ...foreign, isClean: true, osBootId: '' });
  fs.writeFileSync(nodeFile, text);
  const other = refused(token, ...members, ...id, ...data, ...ports);
  expect(other.said).toContain('NODE_FOLDER_FOREIGN');
  expect(other.status).toBe(9);
  expect(fs.readFileSync(nodeFile, 'utf8')).toBe(text);
  fs.rmSync(nodeFile);

  const mine = join(cluster.data, `node-${OLD}`);
  const back = refused(token, ...members, '--id', String(OLD), '--data', mine, ...ports);
  expect(back.said).toContain('NODE_REMOVED');
  expect(back.status).toBe(11);

  const answers = net.createServer((socket) => {
    // "CBLK", link version 9.
    socket.end(Buffer.concat([Buffer.from([0x43, 0x42, 0x4c, 0x4b, 9, 0]), Buffer.alloc(506)]));
  });
  await new Promise<void>((resolve) => answers.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = answers.address() as net.AddressInfo;
    const words = [BIN, 'server', '--join', `127.0.0.1:${port}`, ...id, ...data, ...ports];
    const child = spawn(process.execPath, words, {
      cwd: folder,
      env: { ...process.env, CALLBOARD_TOKEN: token },
    });
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      said += String(chunk);
    });
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect(said).toContain('NODE_JOIN_VERSION');
    expect(said).toContain('link version 9');
    expect(status).toBe(10);
  } finally {
    answers.close();
  }

  const nobody = refused(token, ...id, ...data, ...ports);
  expect(nobody.status).toBe(2);
}, 240_000);
