// How `dev` starts: what it prints, where it puts things, and what it refuses.
import fs from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { callboard, FAKE_ARGS, FAKE_NODE, freshFolder, isAlive, startDev } from './run-dev.ts';

async function stopped(run: ReturnType<typeof startDev>): Promise<number | string> {
  run.child.kill('SIGTERM');
  return run.exited;
}

async function holdPort(): Promise<{ port: number; server: net.Server }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as net.AddressInfo).port, server };
}

function connects(address: string, host?: string): Promise<boolean> {
  const [name, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = net.connect({ host: host ?? name ?? '', port: Number(port) });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

describe('callboard dev', () => {
  test('with --json prints exactly one line on stdout, and every node in it answers', async () => {
    const run = startDev(freshFolder());
    const nodes = await run.ready();
    expect(nodes.map(({ id }) => id)).toEqual([1, 2, 3]);
    for (const { kafka, http, pid } of nodes) {
      expect(await connects(kafka)).toBe(true);
      expect(await connects(kafka, '127.0.0.1')).toBe(true);
      expect(
        ((await (await fetch(`${http}/api/status`)).json()) as { nodeId: number }).nodeId,
      ).toBeGreaterThan(0);
      expect(isAlive(pid)).toBe(true);
    }
    expect(await stopped(run)).toBe(0);
    expect(run.stdout).toMatch(/^\{"event":"ready","nodes":\[.*\]\}\n$/);
    expect(Object.keys(nodes[0] ?? {})).toEqual(['id', 'kafka', 'http', 'pid']);
    expect(run.stderr).toBe('');
  });

  test('prints at most 12 lines without colour: version, time, table, data, client lines', async () => {
    const folder = freshFolder();
    const run = callboard(['dev', ...FAKE_ARGS], { cwd: folder, variables: { NO_COLOR: '1' } });
    await run.saw(/stop {4}Ctrl-C\n/);
    const lines = run.stdout.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(12);
    expect(lines[0]).toMatch(/^Callboard \d+\.\d+\.\d+: 3 nodes ready in (\d+ ms|[\d.]+ s)$/);
    expect(lines[1]?.trim().split(/\s+/)).toEqual(['node', 'Kafka', 'HTTP', 'pid']);
    expect(lines[2]?.trim()).toMatch(/^1 +localhost:\d+ +http:\/\/localhost:\d+ +\d+$/);
    expect(run.stdout).toMatch(
      new RegExp(`^data    ${folder}/\\.callboard \\([\\d.]+ [KMG]?i?B\\)$`, 'm'),
    );
    expect(run.stdout).toMatch(/brokers: \['localhost:\d+', /);
    expect(run.stdout).toMatch(/produce hello/);
    expect(run.stdout).not.toContain('\x1b');
    expect(await stopped(run)).toBe(0);
  });

  test('started twice on a folder: the second shows the first and exits 0', async () => {
    const folder = freshFolder();
    const first = startDev(folder);
    await expect.poll(() => fs.existsSync(join(folder, 'data/dev.lock'))).toBe(true);
    // Not ready yet: the second waits for it.
    const second = startDev(folder);
    const nodes = await first.ready();
    expect(await second.exited).toBe(0);
    expect(await second.ready()).toEqual(nodes);
    const third = callboard(['dev', '--data', join(folder, 'data')]);
    expect(await third.exited).toBe(0);
    expect(third.stdout).toMatch(new RegExp(`already running, pid ${first.pid}\n`));
    for (const { kafka, pid } of nodes) {
      expect(third.stdout).toContain(kafka);
      expect(third.stdout).toContain(String(pid));
    }
    expect(third.stdout).toMatch(/^data {4}.*data \([\d.]+ KiB\)$/m);
    expect(await stopped(first)).toBe(0);
  });

  test('a second one that asks for what the first does not run is refused with exit 5', async () => {
    const folder = freshFolder();
    const first = startDev(folder, ['--nodes', '2']);
    await first.ready();
    const starts = () => fs.readFileSync(join(folder, 'data/node-1/starts'), 'utf8');
    for (const [words, why] of [
      [['--nodes', '3'], /--nodes 3, but it runs 2/],
      [['--reset'], /--reset would remove its data/],
    ] as const) {
      const second = callboard(['dev', '--data', join(folder, 'data'), '--json', ...words]);
      expect(await second.exited).toBe(5);
      expect(second.stdout).toBe('');
      expect(second.stderr).toMatch(/pid \d+\) runs on .*\[DEV_FOLDER_TAKEN\]/);
      expect(second.stderr).toMatch(why);
    }
    expect([isAlive(first.pid), starts()]).toEqual([true, '1']);
    expect(await stopped(first)).toBe(0);
  });

  test('after kill -9 of everything starts again as the same cluster with its data', async () => {
    const folder = freshFolder();
    const identity = () => fs.readFileSync(join(folder, 'data/cluster.json'), 'utf8');
    const starts = (id: number) => fs.readFileSync(join(folder, `data/node-${id}/starts`), 'utf8');
    const first = startDev(folder, ['--nodes', '2']);
    const nodes = await first.ready();
    const before = identity();
    for (const pid of [first.pid, ...nodes.map((node) => node.pid)]) process.kill(pid, 'SIGKILL');
    await first.exited;
    const again = startDev(folder);
    expect(await again.ready()).toHaveLength(2);
    expect(identity()).toBe(before);
    expect([starts(1), starts(2)]).toEqual(['2', '2']);
    expect(await stopped(again)).toBe(0);

    const other = startDev(folder, ['--nodes', '3']);
    expect(await other.exited).toBe(2);
    expect(other.stderr).toMatch(/holds a cluster of 2 nodes, not 3/);
    const reset = startDev(folder, ['--nodes', '1', '--reset']);
    expect(await reset.ready()).toHaveLength(1);
    expect(identity()).not.toBe(before);
    expect(starts(1)).toBe('1');
    expect(await stopped(reset)).toBe(0);
  });

  test('a port that was asked for and is taken: exit 5, its name and its holder', async () => {
    const { port, server } = await holdPort();
    const folder = freshFolder();
    const words = ['dev', '--data', join(folder, 'd'), '--node-entry', FAKE_NODE];
    const run = callboard([...words, '--kafka-port', String(port), '--json']);
    expect(await run.exited).toBe(5);
    expect(run.stdout).toBe('');
    expect(run.stderr).toContain(`port ${port} (Kafka of node 1) is taken`);
    if (process.platform === 'linux') expect(run.stderr).toContain(`pid ${process.pid}`);
    server.close();
  });

  test('--memory leaves no data, --in-process runs in one process', async () => {
    const folder = freshFolder();
    const words = ['--base-port', '0', '--node-entry', FAKE_NODE, '--memory', '--in-process'];
    const run = callboard(['dev', '--data', join(folder, 'data'), '--json', ...words]);
    const nodes = await run.ready();
    expect(nodes.map(({ pid }) => pid)).toEqual([run.pid, run.pid, run.pid]);
    expect(await connects(nodes[2]?.kafka ?? '')).toBe(true);
    expect(await stopped(run)).toBe(0);
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test('the node process gets a thread pool of its own size and says what it has', async () => {
    const folder = freshFolder();
    const run = startDev(folder, ['--nodes', '1', '--shards', '0'], { UV_THREADPOOL_SIZE: '' });
    await run.ready();
    const [line] = fs.readFileSync(join(folder, 'data/logs/node-1.log'), 'utf8').split('\n');
    expect(JSON.parse(line ?? '')).toMatchObject({ msg: 'starting', threadPool: '12', shards: 0 });
    expect(await stopped(run)).toBe(0);
  });

  test.each([
    [['--nodes', '0'], /"0" is not a whole number from 1 to 16/],
    [['--restart', 'soon'], /neither "never" nor a time/],
    [['--kafka-port', '9000', '--http-port', '9001'], /port 9001 would be both/],
    [['--base-port', '65530'], /there is no port 6\d+/],
    [['--what'], /unknown option/],
    [['--in-process', '--restart', '1s'], /--restart is for node processes/],
  ])('%j is refused with exit 2', async (words, message) => {
    const folder = freshFolder();
    const run = callboard([
      'dev',
      '--data',
      join(folder, 'd'),
      '--node-entry',
      FAKE_NODE,
      ...words,
    ]);
    expect(await run.exited).toBe(2);
    expect(run.stderr).toMatch(message);
  });

  test.runIf(process.getuid?.() !== 0)(
    'a folder that cannot be written: exit 5 and a way out',
    async () => {
      const folder = freshFolder();
      fs.chmodSync(folder, 0o500);
      const run = startDev(folder);
      expect(await run.exited).toBe(5);
      expect(run.stderr).toMatch(/cannot use the data folder .*EACCES[\s\S]*--memory/);
    },
  );

  test('a data folder that is a file: exit 5', async () => {
    const folder = freshFolder();
    fs.writeFileSync(join(folder, 'data'), '');
    const run = startDev(folder);
    expect(await run.exited).toBe(5);
    expect(run.stderr).toMatch(/cannot use the data folder/);
  });

  test('a folder of another format is left alone: exit 1', async () => {
    const folder = freshFolder();
    fs.mkdirSync(join(folder, 'data'));
    fs.writeFileSync(join(folder, 'data/cluster.json'), '{"format":99,"nodes":3}');
    const run = startDev(folder);
    expect(await run.exited).toBe(1);
    expect(run.stderr).toMatch(/written in format 99/);
    expect(fs.readFileSync(join(folder, 'data/cluster.json'), 'utf8')).toContain('99');
  });
});
