// What clients of AMQP should not do, done to a node that runs: the answer has RabbitMQ's code, and the node
// serves the next client.
import { type ConfirmChannel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type DevCluster, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { BODY, frame, HEADERS, METHOD, RawAmqp, shortString, u32 } from './support/raw-amqp.ts';

const PUBLISH = '003c00280000';
const DECLARE = '0032000a0000';
/** Of tables in tables: deeper than anybody needs. */
const DEPTH = 1_000;
const CHANNELS_MAX = 2_047;

let cluster: DevCluster;
let address: string;
const raws: RawAmqp[] = [];
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  cluster = await startDev();
  address = new URL(cluster.nodes[0]!.amqp).host;
});
afterAll(() => cluster?.stop());
afterEach(async () => {
  for (const raw of raws.splice(0)) raw.end();
  for (const close of closing.splice(0)) await close();
});

async function dial(): Promise<RawAmqp> {
  const raw = await RawAmqp.open(address);
  raws.push(raw);
  return raw;
}

async function client(): Promise<ConfirmChannel> {
  const connection = await connect(cluster.nodes[0]!.amqp);
  connection.on('error', () => undefined);
  closing.push(() => connection.close().catch(() => undefined));
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

/** A message goes through a queue: the node is as well as before. */
async function isWell(): Promise<void> {
  const channel = await client();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  channel.sendToQueue(queue, Buffer.from('well'));
  await channel.waitForConfirms();
  const message = await channel.get(queue, { noAck: true });
  expect(message !== false && message.content.toString()).toBe('well');
}

/** A field table that holds a table that holds a table. */
function nestedTable(depth: number): Buffer {
  let table = u32(0);
  for (let i = 0; i < depth; i += 1) {
    const entry = Buffer.concat([shortString('t'), Buffer.from('F'), table]);
    table = Buffer.concat([u32(entry.length), entry]);
  }
  return table;
}

function header(bodySize: number): Buffer {
  return frame(
    HEADERS,
    1,
    Buffer.concat([
      Buffer.from('003c0000', 'hex'),
      u32(0),
      u32(bodySize),
      Buffer.from('0000', 'hex'),
    ]),
  );
}

function publishTo(queue: string): Buffer {
  const method = Buffer.concat([
    Buffer.from(PUBLISH, 'hex'),
    shortString(''),
    shortString(queue),
    Buffer.from([0]),
  ]);
  return frame(METHOD, 1, method);
}

it('field tables nested 1,000 deep are malformed, in arguments and in headers', async () => {
  const declares = await dial();
  await declares.openChannel(1);
  declares.method(1, DECLARE, shortString('deep'), Buffer.from([0]), nestedTable(DEPTH));
  expect(await declares.refusal('connection')).toMatchObject({ code: 501 });
  const publishes = await dial();
  await publishes.openChannel(1);
  publishes.send(publishTo('deep'));
  const properties = Buffer.concat([Buffer.from('2000', 'hex'), nestedTable(DEPTH)]);
  const head = Buffer.concat([Buffer.from('003c0000', 'hex'), u32(0), u32(1), properties]);
  publishes.send(Buffer.concat([frame(HEADERS, 1, head), frame(BODY, 1, Buffer.from('x'))]));
  expect(await publishes.refusal('connection')).toMatchObject({ code: 501 });
  await isWell();
});

it('a body that is longer than its header said closes the connection, and is no message', async () => {
  const channel = await client();
  await channel.assertQueue('longer');
  const raw = await dial();
  await raw.openChannel(1);
  raw.send(
    Buffer.concat([publishTo('longer'), header(4), frame(BODY, 1, Buffer.from('too long'))]),
  );
  expect((await raw.refusal('connection')).code).toBe(501);
  expect(await channel.checkQueue('longer')).toMatchObject({ messageCount: 0 });
  await isWell();
});

it('methods that there are none of close the connection', async () => {
  for (const hex of ['003c00ff', '00ff0001', '000a0001']) {
    const raw = await dial();
    await raw.openChannel(1);
    raw.method(1, hex);
    expect((await raw.refusal('connection')).code).toBe(503);
  }
  await isWell();
});

it('a channel is deaf after its error until it is closed, then good again', async () => {
  const raw = await dial();
  await raw.openChannel(1);
  const passive = Buffer.from([1]);
  raw.method(1, DECLARE, shortString('no such queue'), passive, u32(0));
  expect(await raw.refusal('channel')).toMatchObject({ code: 404 });
  // Before close-ok: whatever comes is not looked at. Afterwards the number is a closed channel's.
  raw.method(1, DECLARE, shortString('deaf'), Buffer.from([0]), u32(0));
  raw.method(1, '00140029');
  await raw.openChannel(1);
  raw.method(1, DECLARE, shortString('deaf'), passive, u32(0));
  expect(await raw.refusal('channel')).toMatchObject({ code: 404 });
  raw.method(1, '00140029');
  raw.method(1, DECLARE, shortString('closed'), Buffer.from([0]), u32(0));
  expect(await raw.refusal('connection')).toMatchObject({ code: 504 });
  await isWell();
});

it('a channel that is open twice, and one beyond the most, close the connection', async () => {
  const twice = await dial();
  await twice.openChannel(1);
  twice.method(1, '0014000a00');
  expect((await twice.refusal('connection')).code).toBe(504);
  const beyond = await dial();
  for (let channel = 1; channel <= CHANNELS_MAX + 1; channel += 1) {
    beyond.method(channel, '0014000a00');
  }
  expect((await beyond.refusal('connection')).code).toBe(530);
  await isWell();
});

it('consumers that are parked hear that their queue was deleted, and hold nobody up', async () => {
  const channel = await client();
  const consuming = await client();
  await channel.assertQueue('deleted');
  const told: (string | null)[] = [];
  for (let i = 0; i < 20; i += 1) {
    await consuming.consume('deleted', (message) => {
      told.push(message?.content.toString() ?? null);
    });
  }
  await channel.deleteQueue('deleted');
  await until('all of them hear of it', () => told.length === 20, 10_000);
  expect(new Set(told)).toEqual(new Set([null]));
  await expect(consuming.checkQueue('deleted')).rejects.toMatchObject({ code: 404 });
  await isWell();
});

it('what consumers held that were killed goes to the next, marked', async () => {
  const channel = await client();
  await channel.assertQueue('orphans');
  for (let i = 0; i < 50; i += 1) channel.sendToQueue('orphans', Buffer.from(String(i)));
  await channel.waitForConfirms();
  const raw = await dial();
  await raw.openChannel(1);
  // basic.consume of everything, and a socket that goes without a word.
  raw.method(
    1,
    '003c00140000',
    shortString('orphans'),
    shortString('killed'),
    Buffer.from([0]),
    u32(0),
  );
  await raw.answer(60, 60);
  raw.end();
  const bodies: number[] = [];
  let marked = 0;
  await channel.consume('orphans', (message) => {
    if (message === null) return;
    bodies.push(Number(message.content.toString()));
    if (message.fields.redelivered) marked += 1;
    channel.ack(message);
  });
  await until('all are there', () => bodies.length === 50, 10_000);
  expect(bodies).toEqual(Array.from({ length: 50 }, (_, i) => i));
  expect(marked).toBeGreaterThan(0);
});
