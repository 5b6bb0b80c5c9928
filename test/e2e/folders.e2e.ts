// Data folders that cannot be used: each is refused with a sentence that names it, and none is touched.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { recordBatch, WireClient } from '../../bench/lib/kafka-wire.ts';
import {
  BIN,
  freeBasePort,
  freshFolder,
  runDevToEnd,
  startDev,
  until,
} from '../../tools/lib/dev-cluster.mjs';

const TAKEN = 5;
const FOREIGN = 9;

let folder: string;
let isMounted = false;

beforeEach(() => {
  folder = freshFolder();
});

afterEach(() => {
  if (isMounted) execFileSync('umount', ['-l', folder]);
  isMounted = false;
  fs.rmSync(folder, { recursive: true, force: true });
});

/** One node, run once, in a folder of its own. */
async function made(name: string): Promise<string> {
  const data = join(folder, name);
  const cluster = await startDev({ nodes: 1, data });
  await cluster.stop();
  return data;
}

it('a file in the place of the folder is named, with exit code 5', async () => {
  const data = join(folder, 'file');
  fs.writeFileSync(data, 'not a folder');
  const { exitCode, output } = await runDevToEnd({ nodes: 1, data });
  expect(exitCode).toBe(TAKEN);
  expect(output).toContain(data);
  expect(fs.readFileSync(data, 'utf8')).toBe('not a folder');
});

it.skipIf(process.getuid?.() === 0)('a folder that cannot be written is named', async () => {
  const data = join(folder, 'locked');
  fs.mkdirSync(data, { mode: 0o500 });
  const { exitCode, output } = await runDevToEnd({ nodes: 1, data });
  expect(exitCode).toBe(TAKEN);
  expect(output).toContain(data);
});

it('a node folder that is a file keeps the node from starting, and dev says which', async () => {
  const data = join(folder, 'half');
  fs.mkdirSync(data);
  fs.writeFileSync(join(data, 'node-1'), '');
  const { exitCode, output } = await runDevToEnd({ nodes: 1, data });
  expect(exitCode).toBeGreaterThan(0);
  expect(output).toContain('node-1');
});

it('the folder of another cluster is refused, and left as it is', async () => {
  const mine = await made('mine');
  const other = await made('other');
  fs.rmSync(join(mine, 'node-1'), { recursive: true });
  fs.cpSync(join(other, 'node-1'), join(mine, 'node-1'), { recursive: true });
  const before = fs.readFileSync(join(mine, 'node-1', 'node.json'), 'utf8');
  const { exitCode, output } = await runDevToEnd({ nodes: 1, data: mine });
  expect(exitCode).toBe(FOREIGN);
  expect(output).toMatch(/belongs to node 1 of cluster/);
  expect(fs.readFileSync(join(mine, 'node-1', 'node.json'), 'utf8')).toBe(before);
});

it('a folder that a newer version wrote is refused, cluster and node alike', async () => {
  const data = await made('newer');
  const raise = (name: string): void => {
    const path = join(data, name);
    const stored = JSON.parse(fs.readFileSync(path, 'utf8')) as { format: number };
    fs.writeFileSync(path, JSON.stringify({ ...stored, format: stored.format + 97 }));
  };
  raise(join('node-1', 'node.json'));
  const node = await runDevToEnd({ nodes: 1, data });
  expect(node.exitCode).toBe(FOREIGN);
  expect(node.output).toMatch(/newer version/);
  raise('cluster.json');
  const cluster = await runDevToEnd({ nodes: 1, data });
  expect(cluster.exitCode).toBe(1);
  expect(cluster.output).toMatch(/format 98/);
});

function canMount(): boolean {
  if (process.getuid?.() !== 0 || process.platform !== 'linux') return false;
  const probe = freshFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe], { stdio: 'ignore' });
    execFileSync('umount', [probe]);
    return true;
  } catch {
    return false;
  } finally {
    fs.rmSync(probe, { recursive: true, force: true });
  }
}

it.skipIf(!canMount())(
  'a folder on a read-only mount is named, with exit code 5 and no stack',
  async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]);
    isMounted = true;
    const port = await freeBasePort(1);
    const [linkPort, kafkaPort, httpPort, amqpPort, rocketmqPort] = [0, 1, 2, 3, 4].map(
      (n) => port + 100 * n,
    );
    const ports = { linkPort, kafkaPort, httpPort, amqpPort, rocketmqPort };
    const nodes = [{ id: 1, host: '127.0.0.1', ...ports }];
    const config = { clusterId: 'lone', nodeId: 1, nodes, dataRoot: folder, isFounding: true };
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    const { status, stderr } = spawnSync(process.execPath, [BIN, 'server', '--shards', '0'], {
      env: { ...process.env, CALLBOARD_NODE_CONFIG: JSON.stringify({ ...config, token: 't' }) },
      encoding: 'utf8',
    });
    expect(stderr).toContain(`the folder ${folder} cannot be written (it is on a read-only mount)`);
    expect(stderr).not.toMatch(/\n\s+at |"stack"/);
    expect(status).toBe(TAKEN);
    expect((await runDevToEnd({ nodes: 1, data: folder })).exitCode).toBe(TAKEN);
  },
);

it.skipIf(!canMount())(
  'a disk that fills up is an error in time; what was acknowledged is kept',
  async () => {
    // More than the 50 MB that a node leaves free, and less than what is sent.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'tmpfs', folder]);
    isMounted = true;
    const data = join(folder, 'data');
    let cluster = await startDev({ nodes: 1, data });
    try {
      let client = await WireClient.connect(cluster.nodes[0]!.kafka);
      await until('the topic is made', async () => {
        const { topics } = await client.metadata(['full']);
        return topics[0]?.partitions.every(({ leader }) => leader > 0) && topics[0].errorCode === 0;
      });
      const batch = recordBatch([Buffer.alloc(500_000, 1)]);
      const to = { topic: 'full', partition: 0, acks: -1, timeoutMs: 3_000 };
      let acknowledged = 0;
      let failure: unknown;
      for (let i = 0; i < 400 && failure === undefined; i += 1) {
        try {
          const { errorCode } = await client.produce(to, batch, 8_000);
          if (errorCode === 0) acknowledged += 1;
          else failure = errorCode;
        } catch (error) {
          // A node that cannot go on may end; it must not keep its clients waiting.
          failure = error;
        }
      }
      expect(failure).toBeDefined();
      expect(String(failure)).not.toMatch(/no answer in/);
      expect(acknowledged).toBeGreaterThan(5);
      await until('the log names the cause', () => /ENOSPC|no space|full/i.test(cluster.logOf(1)));
      client.close();
      await cluster.stop();
      execFileSync('mount', ['-o', 'remount,size=256m', folder]);
      cluster = await startDev({ nodes: 1, data });
      client = await WireClient.connect(cluster.nodes[0]!.kafka);
      const again = client;
      // Ready says that the node works, not that each log has been recovered.
      const endOffset = await until('the log is led again', async () => {
        const offset = await again.endOffset('full', 0);
        return offset >= 0 && { offset };
      });
      expect(endOffset.offset).toBeGreaterThanOrEqual(acknowledged);
      expect((await client.produce(to, batch)).errorCode).toBe(0);
      client.close();
    } finally {
      await cluster.stop();
    }
  },
  120_000,
);
