// The commands on a running cluster, the stub, and the contract of output and exit codes.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { BIN, callboard, freshFolder, keepForFile, type Run, startDev } from './run-dev.ts';

interface Answer {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

async function answer(run: Run): Promise<Answer> {
  const code = await run.exited;
  return { code, stdout: run.stdout, stderr: run.stderr };
}

describe('commands on a running cluster', () => {
  let data: string;
  const ask = (...words: string[]) => answer(callboard([...words, '--data', data]));

  // One cluster for all: each test has a destination of its own, and the first finds none.
  beforeAll(async () => {
    const folder = freshFolder();
    data = join(folder, 'data');
    await startDev(folder, ['--nodes', '1', '--memory']).ready();
    keepForFile();
  });

  test('what was produced is listed and consumed, in text and in JSON', async () => {
    expect(await ask('ls')).toMatchObject({ code: 0, stdout: '', stderr: 'no destinations yet\n' });
    expect(
      await ask('produce', 'hello wörld', '--value', 'eins', '--key', 'k', '--header', 'a=b'),
    ).toEqual({
      code: 0,
      stdout: 'hello wörld/0 @ 0\n',
      stderr: '',
    });
    const second = await ask('produce', 'hello wörld', '--value', 'zwei', '--json');
    expect(JSON.parse(second.stdout)).toEqual({ partition: 0, offset: 1 });
    const text = await ask('consume', 'hello wörld', '--from', 'earliest', '--no-follow');
    expect(text).toEqual({ code: 0, stdout: 'eins\nzwei\n', stderr: '' });
    const one = await ask('consume', 'hello wörld', '--from', 'earliest', '--max', '1', '--json');
    expect(JSON.parse(one.stdout)).toMatchObject({
      offset: 0,
      key: 'k',
      value: 'eins',
      headers: [{ name: 'a', value: 'b' }],
    });
    const list = await ask('ls');
    expect(
      list.stdout
        .split('\n')[1]
        ?.trim()
        .split(/\s{2,}/),
    ).toEqual(['hello wörld', 'stream', '1', '2', '1/2', 'sync', '-']);
    expect(JSON.parse((await ask('ls', '--json')).stdout)).toHaveProperty('destinations');
  });

  test('produce sends one message per line of standard input, with keys if told how', async () => {
    const run = callboard(['produce', 'lines', '--data', data, '--key-separator', ':'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    run.child.stdin?.end('a:1\nb:2\nplain\n');
    expect((await answer(run)).stdout.trim().split('\n')).toHaveLength(3);
    const { stdout } = await ask('consume', 'lines', '--from', 'earliest', '--no-follow', '--json');
    const messages = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; value: string });
    expect(messages.map(({ key, value }) => [key, value])).toEqual([
      ['a', '1'],
      ['b', '2'],
      [null, 'plain'],
    ]);
  });

  test('a batch that the node cannot unpack is said on stderr, in JSON, and by exit 3', async () => {
    await ask('produce', 'packed', '--value', 'a');
    await ask('produce', 'packed', '--value', 'b', '--key', 'packed');
    const text = await ask('consume', 'packed', '--from', 'earliest', '--no-follow');
    expect([text.code, text.stdout]).toEqual([3, 'a\n']);
    expect(text.stderr).toMatch(
      /^callboard: partition 0 up to offset 1: 1 record compressed with snappy\n.*1 batch was not shown \[CONSUME_PARTIAL\]\n/,
    );
    const json = await ask('consume', 'packed', '--from', 'earliest', '--max', '2', '--json');
    expect(json.code).toBe(3);
    expect(JSON.parse(json.stdout.trim().split('\n')[1] ?? '')).toMatchObject({
      value: null,
      note: '1 record compressed with snappy',
    });
    expect(await ask('consume', 'packed', '--from', 'earliest', '--max', '1')).toMatchObject({
      code: 0,
    });
  });

  test('an unknown destination is exit 4, wrong usage 2, and each says a stable code', async () => {
    const unknown = await ask('consume', 'nothing', '--no-follow');
    expect(unknown).toMatchObject({ code: 4, stdout: '' });
    expect(unknown.stderr).toContain('[DESTINATION_UNKNOWN]');
    expect(await ask('consume', 'x', '--from', '7')).toMatchObject({ code: 2 });
    expect(await ask('consume', 'x', '--max', '-1')).toMatchObject({ code: 2 });
    expect(await ask('produce', 'x', '--header', 'novalue')).toMatchObject({ code: 2 });
    expect(await ask('produce')).toMatchObject({ code: 2 });
  });

  test('a topic is made with settings, shown, and set', async () => {
    const create = (...more: string[]) => ask('topic', 'create', 'made', ...more);
    const cells = ({ stdout }: Answer) =>
      stdout
        .split('\n')[1]
        ?.trim()
        .split(/\s{2,}/);
    const config = ['--config', 'callboard.durability=async', '--config', 'retention.ms=5'];
    const made = await create('--partitions', '2', '--replicas', '1', ...config);
    const settings = 'callboard.durability=async retention.ms=5';
    expect([made.code, cells(made)]).toEqual([0, ['made', '2', '1', 'async', '-', settings]]);
    expect(await create()).toMatchObject({
      code: 1,
      stderr: 'callboard: made is there already [DESTINATION_EXISTS]\n',
    });
    const set = await ask('topic', 'set', 'made', 'retention.ms=', 'segment.ms=1');
    expect(cells(set)?.[5]).toBe('callboard.durability=async segment.ms=1');
    expect(cells(await ask('topic', 'show', 'made'))).toEqual(cells(set));
    const json = await ask('topic', 'show', 'made', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ name: 'made', durability: 'async' });
    expect(await ask('topic', 'show', 'none')).toMatchObject({ code: 4 });
    expect(await ask('topic', 'set', 'made', 'segment.ms')).toMatchObject({ code: 2 });
    expect(await create('--partitions', '0')).toMatchObject({ code: 2 });
  });

  test('users, vhosts and permissions are added, listed and deleted', async () => {
    const password = ['--password', 'secret'];
    expect(await ask('user', 'add', 'ann', ...password, '--tags', 'management')).toMatchObject({
      code: 0,
      stdout: 'user ann is added; callboard permission set says what it may do\n',
    });
    expect(await ask('user', 'add', 'ann', ...password)).toMatchObject({ code: 2 });
    expect(await ask('user', 'add', 'bob', '--password', '')).toMatchObject({ code: 2 });
    const run = callboard(['user', 'passwd', 'ann', '--data', data], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    run.child.stdin?.end('other\n');
    expect(await answer(run)).toMatchObject({
      code: 0,
      stdout: 'user ann has another password\n',
    });
    expect(await ask('user', 'tags', 'ann', 'administrator', 'management')).toMatchObject({
      code: 0,
    });
    const users = await ask('user', 'list');
    expect(users.stdout).toMatch(/^ann +administrator,management$/m);
    expect(users.stdout).not.toContain('secret');
    expect(await ask('user', 'passwd', 'none', ...password)).toMatchObject({ code: 4 });
    expect(await ask('vhost', 'add', 'a/b')).toMatchObject({ code: 0 });
    expect((await ask('vhost', 'list')).stdout).toContain('a/b\n');
    const rights = ['^mine', '', '.*'];
    const set = await ask('permission', 'set', 'ann', ...rights, '--vhost', 'a/b', '--json');
    expect(JSON.parse(set.stdout)).toEqual({
      user: 'ann',
      vhost: 'a/b',
      configure: '^mine',
      write: '',
      read: '.*',
    });
    const listed = await ask('permission', 'list');
    expect(listed.stdout).toMatch(/^ann +a\/b +"\^mine" +"" +"\.\*"$/m);
    expect(await ask('permission', 'clear', 'ann', '--vhost', 'a/b')).toMatchObject({ code: 0 });
    expect(await ask('permission', 'clear', 'ann', '--vhost', 'a/b')).toMatchObject({ code: 4 });
    expect(await ask('vhost', 'delete', 'a/b')).toMatchObject({ code: 0 });
    expect(await ask('user', 'delete', 'ann')).toMatchObject({ code: 0 });
    expect(await ask('user', 'delete', 'ann')).toMatchObject({ code: 4 });
  });

  test('policies are set, listed and deleted; what is wrong with one is said', async () => {
    expect(await ask('policy', 'list')).toMatchObject({ code: 0, stderr: 'no policies yet\n' });
    await ask('produce', 'under', '--value', 'a');
    const definition = '{"x-durability":"async"}';
    const more = ['--priority', '-2', '--apply-to', 'queues'];
    expect(await ask('policy', 'set', 'p/1', 'under', definition, ...more)).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^policy p\/1 is set: 1 of \d+ destinations have it\n$/),
      stderr: 'note: a note\n',
    });
    const set = await ask('policy', 'set', 'p/1', 'under', definition, ...more, '--json');
    const policy = JSON.parse(set.stdout);
    expect(policy).toMatchObject({ priority: -2, 'apply-to': 'queues', pattern: 'under' });
    const { stdout } = await ask('policy', 'list');
    expect(stdout.split('\n')[1]?.trim()).toMatch(/^p\/1 +under +queues +-2 +\{"x-dur.*async"\}$/);
    expect(JSON.parse((await ask('policy', 'list', '--json')).stdout).policies).toEqual([policy]);
    expect((await ask('ls')).stdout).toMatch(/^under .* p\/1$/m);
    const bad = await ask('policy', 'set', 'q', '(', definition);
    expect([bad.code, bad.stderr]).toEqual([2, 'callboard: ( without ) [BAD_REQUEST]\n']);
    for (const words of [['{'], ['[]'], [definition, '--apply-to', 'exchanges']]) {
      expect(await ask('policy', 'set', 'q', 'x', ...words)).toMatchObject({ code: 2 });
    }
    expect(await ask('policy', 'set', 'q', 'x', definition, '--priority', 'a')).toMatchObject({
      code: 2,
    });
    expect(await ask('policy', 'delete', 'p/1')).toMatchObject({ code: 0 });
    expect(await ask('policy', 'delete', 'p/1')).toMatchObject({ code: 4 });
  });

  test('status shows the nodes and is 0 when healthy', async () => {
    const { code, stdout } = await ask('status');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cluster \S+: ok, up/);
    expect(stdout).toMatch(/^1 +live, controller/m);
    expect(JSON.parse((await ask('status', '--json')).stdout)).toHaveProperty('clusterId');
  });

  test('status asks each node for its counters where maintenance is wanted, and only there', async () => {
    const { code, stdout } = await ask('status', '--maintenance');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^1 +3 +- +-/m)]);
    expect((await ask('status')).stdout).not.toContain('WAITING');
    const json = JSON.parse((await ask('status', '--maintenance', '--json')).stdout);
    expect(json).toMatchObject({
      health: 'ok',
      counters: [{ node: 1, counters: { 'compaction.waiting': 3 } }],
    });
    expect(JSON.parse((await ask('status', '--json')).stdout)).not.toHaveProperty('counters');
  });

  test('actors prints the tree of each thread with rates, and what does not answer', async () => {
    const { code, stdout } = await ask('actors', '--sample', '200ms');
    expect([code, stdout.split('\n').map((line) => line.trimEnd())]).toEqual([
      0,
      [
        'node 1, thread 0 (main), 9 turns',
        '  ACTOR            CLASS     HANDLED  /S  WAITING  RESTARTS',
        '  broker           broker    0        0   0        0         suspended',
        '    exchange:shop  exchange  7        1   2        1         mood good, published 70 (10/s), copies 140 (20.5/s)',
        '  3 more of amqp-connection',
        'node 1, thread 1 (shard) does not answer',
        '',
      ],
    ]);
    const once = await ask('actors', '--sample', '0s', '--node', '4');
    expect(once.stdout).toContain('node 4, thread 0');
    expect(once.stdout).toContain('mood good, published 70, copies 140');
    const json = JSON.parse((await ask('actors', '--json')).stdout);
    expect(json).toMatchObject({ sampleMs: 1_000, threads: [{ thread: 0 }, { thread: 1 }] });
    expect(await ask('actors', '--sample', '11s')).toMatchObject({ code: 2 });
    expect(await ask('actors', '--node', '0')).toMatchObject({ code: 2 });
  });

  test('status is 8 when the cluster is not healthy', async () => {
    const folder = freshFolder();
    await startDev(folder, ['--nodes', '1', '--memory'], { FAKE_NODE: 'degraded' }).ready();
    const at = ['--data', join(folder, 'data')];
    const { code, stdout } = await answer(callboard(['status', ...at]));
    expect([code, stdout.split('\n')[0]]).toEqual([8, expect.stringContaining(': degraded')]);
  });
});

describe('without a cluster', () => {
  test('commands end with 7 and the way to start one', async () => {
    const folder = freshFolder();
    const none = await answer(callboard(['ls'], { cwd: folder }));
    expect(none.code).toBe(7);
    expect(none.stderr).toMatch(/no cluster runs on .callboard \[CLI_NO_CLUSTER\]\n {2}Start one/);
    const dead = await answer(
      callboard(['status', '--url', 'http://127.0.0.1:1'], { cwd: folder }),
    );
    expect(dead.code).toBe(7);
    expect(dead.stderr).toContain('ECONNREFUSED');
  });

  test('the state file of a dead dev counts for nothing', async () => {
    const folder = freshFolder();
    const run = startDev(folder, ['--nodes', '1']);
    const [node] = await run.ready();
    process.kill(run.pid, 'SIGKILL');
    process.kill(node?.pid ?? 0, 'SIGKILL');
    await run.exited;
    expect(fs.existsSync(join(folder, 'data/dev.json'))).toBe(true);
    expect((await answer(callboard(['ls', '--data', join(folder, 'data')]))).code).toBe(7);
  });
});

describe('the program', () => {
  test('--version says the version of the package and nothing else', async () => {
    const { version } = JSON.parse(fs.readFileSync(join(BIN, '../../package.json'), 'utf8')) as {
      version: string;
    };
    expect(await answer(callboard(['--version']))).toEqual({
      code: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  });

  test('--help lists every command and the exit codes', async () => {
    const { code, stdout } = await answer(callboard(['--help']));
    expect(code).toBe(0);
    for (const name of ['dev', 'server', 'ls', 'produce', 'consume', 'status', 'Exit codes']) {
      expect(stdout).toContain(name);
    }
    expect(await answer(callboard(['nonsense']))).toMatchObject({ code: 2, stdout: '' });
  });

  test('an old Node is refused in one sentence before anything else loads', () => {
    const script = `
      Object.defineProperty(process, 'versions', { value: { node: '18.20.4' } });
      require(${JSON.stringify(BIN)});`;
    const run = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    expect(run.stderr).toBe('callboard: Node 18.20.4 is too old; install Node 20.19 or newer.\n');
    expect([run.status, run.stdout]).toEqual([2, '']);
  });

  test('a server without configuration, or with a wrong one, is refused with exit 2', async () => {
    expect(await answer(callboard(['server']))).toMatchObject({ code: 2 });
    const folder = freshFolder();
    const path = join(folder, 'node.json');
    fs.writeFileSync(path, '{"nodeID": 1}');
    const { code, stderr } = await answer(callboard(['server', '--config', path]));
    expect(code).toBe(2);
    expect(stderr).toContain('unknown field "nodeID"');
  });

  test('nothing that users install has an install script', () => {
    const lock = JSON.parse(fs.readFileSync(join(BIN, '../../package-lock.json'), 'utf8')) as {
      packages: Record<string, { dev?: boolean; hasInstallScript?: boolean }>;
    };
    const entries = Object.entries(lock.packages).filter(([name]) => name !== '');
    expect(entries.length).toBeGreaterThan(10);
    const scripted = entries.filter(([, one]) => one.hasInstallScript === true && one.dev !== true);
    expect(scripted.map(([name]) => name)).toEqual([]);
    // npm warns of these when it installs our own tarball; `prepublish` runs on `npm ci` only.
    const { scripts } = JSON.parse(fs.readFileSync(join(BIN, '../../package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const names = ['preinstall', 'install', 'postinstall', 'prepare'];
    expect(names.filter((name) => name in scripts)).toEqual([]);
    expect(scripts['prepublish']).toBe(scripts['build']);
  });
});

describe('doctor', () => {
  test('measures the folder that would be used, leaves nothing, and says what the disk carries', async () => {
    const folder = freshFolder();
    const words = ['doctor', '--data', join(folder, 'not', 'yet'), '--seconds', '1'];
    const { code, stdout } = await answer(callboard([...words, '--json']));
    const { figures, durability, findings } = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(figures.syncBlock.count).toBeGreaterThanOrEqual(16);
    expect(['sync', 'replicated', 'memory']).toContain(durability);
    expect(findings.length).toBeGreaterThan(2);
    const text = await answer(callboard(words));
    expect(text.stdout).toMatch(/durable write, 4 KiB .*\n.*64 x 1 KB[\s\S]*It carries /);
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test('a file in the place of the folder is refused', async () => {
    const file = join(freshFolder(), 'file');
    fs.writeFileSync(file, '');
    const { code, stderr } = await answer(callboard(['doctor', '--data', join(file, 'x')]));
    expect(code).toBe(2);
    expect(stderr).toContain('is not a folder');
  });
});
