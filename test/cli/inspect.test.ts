// `callboard inspect` on the folder of a node that was killed: what it shows is what a start would serve, and
// the folder is the same afterwards.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import amqp from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';
import { beforeAll, describe, expect, test } from 'vitest';
import { callboard, freshFolder, keepForFile } from './run-dev.ts';

interface Answer {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

async function inspect(...words: string[]): Promise<Answer> {
  const run = callboard(['inspect', ...words]);
  const code = await run.exited;
  return { code, stdout: run.stdout, stderr: run.stderr };
}

function linesOf(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function filesOf(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => fs.statSync(join(folder, name)).isFile())
    .sort();
}

function sumOf(folder: string): string {
  const hash = createHash('sha256');
  for (const name of filesOf(folder)) {
    hash.update(`${name}\0`).update(fs.readFileSync(join(folder, name)));
  }
  return hash.digest('hex');
}

/** A topic of which two of three records are deleted, a moment before the node is killed: no checkpoint says so. */
async function deleteFirstTwo(broker: string): Promise<void> {
  const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  const producer = kafka.producer();
  await Promise.all([admin.connect(), producer.connect()]);
  await admin.createTopics({ topics: [{ topic: 'trimmed', numPartitions: 1 }] });
  const messages = ['one', 'two', 'three'].map((value) => ({ value }));
  await producer.send({ topic: 'trimmed', acks: -1, messages: messages.slice(0, 1) });
  await producer.send({ topic: 'trimmed', acks: -1, messages: messages.slice(1, 2) });
  await producer.send({ topic: 'trimmed', acks: -1, messages: messages.slice(2) });
  // The client wants to have seen the offsets first.
  await admin.fetchTopicOffsets('trimmed');
  await admin.deleteTopicRecords({ topic: 'trimmed', partitions: [{ partition: 0, offset: '2' }] });
  await Promise.all([admin.disconnect(), producer.disconnect()]);
}

describe('the folder of a killed node', () => {
  let data: string;
  let node: string;
  let whileRunning: Answer;

  beforeAll(async () => {
    data = join(freshFolder(), 'data');
    node = join(data, 'node-1');
    const run = callboard(['dev', '--json', '--data', data, '--nodes', '1', '--base-port', '0']);
    const [ready] = await run.ready();
    for (const value of ['eins', 'zwei', 'drei']) {
      const words = ['produce', 'orders', '--key', 'k', '--value', value, '--data', data];
      expect(await callboard(words).exited).toBe(0);
    }
    await deleteFirstTwo(ready!.kafka);
    const connection = await amqp.connect(ready!.amqp);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('jobs', { durable: true });
    for (const text of ['a', 'b', 'c', 'd', 'e']) channel.sendToQueue('jobs', Buffer.from(text));
    await channel.waitForConfirms();
    // a and c are done with; the others are held when the node dies.
    const got: amqp.ConsumeMessage[] = [];
    await new Promise<void>((resolve) => {
      void channel.consume('jobs', (message) => {
        got.push(message!);
        if (got.length === 5) resolve();
      });
    });
    channel.ack(got[0]!);
    channel.ack(got[2]!);
    // A confirm behind the acknowledgements: they are with it on the disk.
    channel.sendToQueue('jobs', Buffer.from('f'));
    await channel.waitForConfirms();
    connection.on('error', () => undefined);
    whileRunning = await inspect(node);
    process.kill(run.pid, 'SIGKILL');
    process.kill(ready!.pid, 'SIGKILL');
    await run.exited;
    keepForFile();
  }, 240_000);

  test('a running node is refused, a stopped one is shown with its folders and unchanged', async () => {
    expect(whileRunning.code).toBe(5);
    expect(whileRunning.stderr).toContain('INSPECT_RUNNING');
    const before = sumOf(data);
    const { code, stdout } = await inspect(data, '--node', '1', '--json');
    expect(code).toBe(0);
    const { logs } = JSON.parse(stdout) as { logs: Record<string, unknown>[] };
    const orders = logs.filter(({ name }) => name === 'orders');
    expect(orders.map(({ partition, here }) => [partition, here])).toEqual([
      [0, true],
      [1, true],
      [2, true],
    ]);
    expect(orders.reduce((sum, { endOffset }) => sum + Number(endOffset), 0)).toBe(3);
    expect(logs.find(({ name }) => name === 'jobs')).toMatchObject({ kind: 'queue', endOffset: 6 });
    expect(String(orders[0]!['folder'])).toMatch(/^shard-\d{3}\/logs\/[0-9a-f]{2}\/\d+$/);
    expect(sumOf(data)).toBe(before);
  });

  test('messages are those that were confirmed, in order', async () => {
    const { stdout } = await inspect(node, '--topic', 'orders', '--messages');
    expect(linesOf(stdout)).toMatchObject([
      { offset: 0, key: 'k', value: 'eins' },
      { offset: 1, key: 'k', value: 'zwei' },
      { offset: 2, key: 'k', value: 'drei' },
    ]);
  });

  test('what was deleted is not shown, though no checkpoint knows that yet', async () => {
    const { stdout } = await inspect(node, '--topic', 'trimmed', '--json');
    const { logs } = JSON.parse(stdout) as { logs: Record<string, unknown>[] };
    expect(logs).toMatchObject([{ startOffset: 2, endOffset: 3 }]);
    const messages = await inspect(node, '--topic', 'trimmed', '--messages');
    expect(linesOf(messages.stdout).map(({ value }) => value)).toEqual(['three']);
  });

  test('of a queue it is told what was acknowledged', async () => {
    const { stdout } = await inspect(node, '--topic', 'jobs', '--messages');
    const told = linesOf(stdout).map(({ value, acknowledged }) => [value, acknowledged]);
    expect(told.filter(([, isDone]) => isDone === false).map(([value]) => value)).toEqual([
      'b',
      'd',
      'e',
      'f',
    ]);
    expect(told.filter(([, isDone]) => isDone === true)).toEqual(
      told.filter(([value]) => value === 'a' || value === 'c'),
    );
  });

  test('every file of the folder is known and sound', async () => {
    for (const name of filesOf(node)) {
      const { code, stdout } = await inspect(join(node, name), '--json');
      expect([name, code]).toEqual([name, 0]);
      expect(linesOf(stdout).some(({ what }) => what === 'unknown' || what === 'damage')).toBe(
        false,
      );
    }
  }, 240_000);

  test('a flipped byte is shown, and is exit 8', async () => {
    const copy = join(freshFolder(), 'copy.wal');
    const shard = fs.readdirSync(node).find((name) => name.startsWith('shard-'))!;
    fs.copyFileSync(join(node, shard, 'wal', '00000001.wal'), copy);
    const text = fs.readFileSync(copy);
    const at = text.indexOf('zwei');
    expect(at).toBeGreaterThan(0);
    text[at] = text[at]! ^ 1;
    fs.writeFileSync(copy, text);
    const { code, stdout } = await inspect(copy, '--json');
    expect(code).toBe(8);
    expect(linesOf(stdout).filter(({ sound }) => sound === false)).toHaveLength(1);
  });

  test('a file of a newer version is told as such, and is exit 8', async () => {
    const copy = join(freshFolder(), 'node.json');
    const stored = JSON.parse(fs.readFileSync(join(node, 'node.json'), 'utf8')) as object;
    fs.writeFileSync(copy, JSON.stringify({ ...stored, format: 2 }));
    const { code, stdout } = await inspect(copy);
    expect(code).toBe(8);
    expect(stdout).toContain(
      'unknown-version because=node.json was written by a newer version: its format is 2, this build reads 1',
    );
  });

  test('what is not there is exit 4, what cannot be meant exit 2', async () => {
    expect((await inspect(join(data, 'nothing'))).code).toBe(4);
    expect((await inspect(data, '--node', '7')).code).toBe(4);
    expect((await inspect(node, '--topic', 'nobody')).code).toBe(4);
    expect((await inspect(data)).code).toBe(2);
    expect((await inspect(node, '--messages')).code).toBe(2);
    expect((await inspect(freshFolder())).stderr).toContain('INSPECT_NO_NODE');
  });
});
