// rocketmq-client-nodejs as it is, over TCP and HTTP/2, against the session and a broker in memory.
import { createRequire } from 'node:module';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Listener } from '../../../../src/env/environment.ts';
import type { GrpcListener } from '../../../../src/env/grpc.ts';
import { createNodeEnvironment } from '../../../../src/env/node/environment.ts';
import { createGrpcServer } from '../../../../src/env/node/grpc.ts';
import { createNodeLog } from '../../../../src/env/node/log.ts';
import { createRocketGrpcService } from '../../../../src/protocols/rocketmq/grpc/listener.ts';
import { Code } from '../../../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS } from '../../../../src/protocols/rocketmq/grpc/schema/methods.ts';
import { Client, frame } from '../../../env/node/grpc-client.ts';
import { FakeBroker } from './fake-broker.ts';

interface Receipt {
  readonly messageId: string;
  readonly transactionId: string;
  readonly offset: number;
}

interface View {
  readonly messageId: string;
  readonly body: Buffer;
  readonly tag?: string;
  readonly keys: readonly string[];
  readonly messageGroup?: string;
  readonly properties: ReadonlyMap<string, string>;
  readonly deliveryAttempt: number;
  readonly receiptHandle: string;
  readonly corrupted?: boolean;
}

interface ClientBase {
  startup(): Promise<void>;
  shutdown(): Promise<void>;
}

interface ProducerClient extends ClientBase {
  send(message: object): Promise<Receipt>;
}

interface ConsumerClient extends ClientBase {
  receive(count: number, invisibleMs: number): Promise<View[]>;
  ack(message: View): Promise<void>;
  changeInvisibleDuration(message: View, invisibleMs: number): Promise<void>;
}

type ClientClass<C> = new (options: object) => C;

const require = createRequire(import.meta.url);
const { Producer, SimpleConsumer, PushConsumer } = require('rocketmq-client-nodejs') as {
  Producer: ClientClass<ProducerClient>;
  SimpleConsumer: ClientClass<ConsumerClient>;
  PushConsumer: ClientClass<ClientBase>;
};

const log = createNodeLog({ level: 'silent' });
const quiet = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const env = createNodeEnvironment({ log });
const grpc = createGrpcServer({ net: env.net, clock: env.clock, timers: env.timers, log });

let broker: FakeBroker;
let listener: GrpcListener & Listener;
let service: ReturnType<typeof createRocketGrpcService>;
const open: ClientBase[] = [];

async function listen(port = 0): Promise<void> {
  const handleKey = new Uint8Array(16).fill(3);
  service = createRocketGrpcService({ env, log, broker, handleKey });
  const limits = { messageBytesMax: 8 * 1024 * 1024 };
  listener = await grpc.listen({ host: '127.0.0.1', port }, service, limits);
}

beforeEach(async () => {
  broker = new FakeBroker();
  broker.wait = (ms, end) => setTimeout(end, ms).unref();
  broker.makeTopic('orders', 3);
  await listen();
});

afterEach(async () => {
  for (const each of open.splice(0)) await each.shutdown().catch(() => undefined);
  // A client that shuts down no longer listens to its streams: one that ends badly then ends the process.
  await until(() => listener.counters.callsOpen === 0);
  listener.close();
  service.close();
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const endpoints = () => `127.0.0.1:${listener.address.port}`;

async function started<C extends ClientBase>(type: ClientClass<C>, options: object): Promise<C> {
  const client = new type({
    endpoints: endpoints(),
    namespace: '',
    logger: quiet,
    requestTimeout: 20_000,
    ...options,
  });
  open.push(client);
  await client.startup();
  return client;
}

const producer = (options: object = {}) => started(Producer, { topics: ['orders'], ...options });
const consumer = (filter = '*', awaitDuration = 200) =>
  started(SimpleConsumer, {
    consumerGroup: 'group',
    subscriptions: new Map([['orders', filter]]),
    awaitDuration,
  });

/** Receives from every broker name in turn until there are `count` messages. */
async function receiveAll(from: ConsumerClient, count: number): Promise<View[]> {
  const all: View[] = [];
  while (all.length < count) all.push(...(await from.receive(16, 30_000)));
  return all;
}

describe('the official client for Node', () => {
  it('a producer starts, sends, and gets a receipt', async () => {
    const client = await producer();
    const receipt = await client.send({
      topic: 'orders',
      tag: 'new',
      keys: ['k1', 'k2'],
      body: Buffer.from('hello'),
      properties: new Map([['colour', 'blue']]),
    });
    expect(receipt.messageId).toMatch(/^01[0-9A-F]{32}$/);
    expect(receipt.transactionId).toBe(receipt.messageId);
    expect(receipt.offset).toBe(0);
    const stored = [...broker.logs.values()].flat();
    expect(stored).toHaveLength(1);
    expect(Buffer.from(stored[0]!.record.value).toString()).toBe('hello');
  });

  it('without topics it starts as well, and finds one when it sends', async () => {
    const client = await producer({ topics: [] });
    expect((await client.send({ topic: 'orders', body: Buffer.from('x') })).offset).toBe(0);
  });

  it('a topic that is not there fails the start with the words that its own test expects', async () => {
    const client = new Producer({
      endpoints: endpoints(),
      namespace: '',
      logger: quiet,
      topics: ['not-there'],
    });
    open.push(client);
    const failure = await client.startup().then(
      () => undefined,
      (error: Error) => error,
    );
    const cause = failure?.cause as { cause: Error & { code: number } };
    expect(cause.cause).toMatchObject({ name: 'NotFoundException', code: 40402 });
    expect(cause.cause.message).toMatch(
      /CODE: 17 {2}DESC: No topic route info in name server for the topic: not-there/,
    );
  });

  it('a simple consumer gets everything once, as it was sent, and acknowledges it', async () => {
    const sender = await producer();
    const receipts: Receipt[] = [];
    for (let i = 0; i < 20; i += 1) {
      receipts.push(
        await sender.send({
          topic: 'orders',
          tag: 't',
          keys: [`key-${i}`],
          body: Buffer.from(`body ${i} 😄`),
          properties: new Map([['i', String(i)]]),
        }),
      );
    }
    const receiver = await consumer();
    const messages = await receiveAll(receiver, 20);
    const ids = (list: readonly { messageId: string }[]) =>
      list.map((each) => each.messageId).sort();
    expect(ids(messages)).toEqual(ids(receipts));
    for (const message of messages) {
      const i = message.properties.get('i');
      expect(message).toMatchObject({ tag: 't', keys: [`key-${i}`], deliveryAttempt: 1 });
      expect(message.body.toString()).toBe(`body ${i} 😄`);
      expect(message.corrupted).not.toBe(true);
      await receiver.ack(message);
    }
    broker.expire();
    expect([...broker.logs.values()].flat().every(({ isDone }) => isDone)).toBe(true);
  });

  it('a message that comes while the consumer waits wakes it', async () => {
    const receiver = await consumer('wanted', 20_000);
    // The client asks one broker name after the other; the message goes to every log.
    const received = receiver.receive(1, 30_000);
    await until(() => broker.waitingCount > 0);
    const sender = await producer();
    for (let i = 0; i < 3; i += 1) {
      await sender.send({ topic: 'orders', tag: 'other', body: Buffer.from('no') });
      await sender.send({ topic: 'orders', tag: 'wanted', body: Buffer.from('yes') });
    }
    while (broker.waitingCount > 0) {
      await sender.send({ topic: 'orders', tag: 'wanted', body: Buffer.from('yes') });
    }
    expect((await received).map(({ body }) => body.toString())).toEqual(['yes']);
  });

  it('a message that is not acknowledged comes again, and its old handle is worth nothing', async () => {
    const sender = await producer();
    await sender.send({ topic: 'orders', body: Buffer.from('x') });
    const receiver = await consumer();
    const [first] = await receiveAll(receiver, 1);
    broker.expire();
    const [second] = await receiveAll(receiver, 1);
    expect(second).toMatchObject({ messageId: first!.messageId, deliveryAttempt: 2 });
    await expect(receiver.ack(first!)).rejects.toMatchObject({
      name: 'BadRequestException',
      code: Code.INVALID_RECEIPT_HANDLE,
    });
    const old = { ...second! };
    await receiver.changeInvisibleDuration(second!, 60_000);
    await expect(receiver.ack(old)).rejects.toMatchObject({ code: Code.INVALID_RECEIPT_HANDLE });
    await receiver.ack(second!);
  });

  it('messages of a group stay in their order in one log', async () => {
    const sender = await producer();
    const offsets: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      const message = { topic: 'orders', messageGroup: 'g', body: Buffer.from(String(i)) };
      offsets.push((await sender.send(message)).offset);
    }
    expect(offsets).toEqual([0, 1, 2, 3, 4]);
    const messages = await receiveAll(await consumer(), 5);
    expect(messages.map(({ body }) => body.toString())).toEqual(['0', '1', '2', '3', '4']);
    expect(messages[0]!.messageGroup).toBe('g');
  });

  it('large bodies pass, and delayed messages are refused by name', async () => {
    const sender = await producer({ maxAttempts: 1 });
    const body = Buffer.alloc(4 * 1024 * 1024, 'x');
    await sender.send({ topic: 'orders', body });
    const stored = [...broker.logs.values()].flat();
    expect(Buffer.from(stored[0]!.record.value).equals(body)).toBe(true);
    await expect(
      sender.send({ topic: 'orders', delay: 60_000, body: Buffer.from('later') }),
    ).rejects.toThrow(/message type not match/);
  });

  it("the broker's trouble is repeated as often as the client was told to", async () => {
    const sender = await producer({ maxAttempts: 3 });
    let left = 2;
    broker.trouble = (ask) => {
      if (ask.kind !== 'append' || left === 0) return undefined;
      left -= 1;
      return { kind: 'append', result: 'unavailable', baseOffset: -1, reason: 'no leader' };
    };
    const receipt = await sender.send({ topic: 'orders', body: Buffer.from('x') });
    expect(receipt.offset).toBe(0);
    expect(broker.asked.filter(({ kind }) => kind === 'append')).toHaveLength(3);
  });

  it('a push consumer is told at its start that it is not served', async () => {
    const options = {
      consumerGroup: 'group',
      subscriptions: new Map([['orders', '*']]),
      messageListener: { consume: () => 0 },
    };
    await expect(started(PushConsumer, options)).rejects.toThrow(/PUSH_CONSUMER are not served/);
  });

  it('clients that shut down say goodbye, and leave nothing open', async () => {
    const receiver = await consumer();
    await receiver.shutdown();
    open.splice(0);
    expect(broker.told).toContainEqual(
      expect.objectContaining({ kind: 'client-gone', group: 'group' }),
    );
    await until(() => listener.counters.connectionsOpen === 0);
    expect(listener.counters.callsOpen).toBe(0);
  });

  it('a node that starts anew goes on with clients that it does not know', async () => {
    const sender = await producer();
    const receiver = await consumer();
    await sender.send({ topic: 'orders', body: Buffer.from('before') });
    const [message] = await receiveAll(receiver, 1);
    const { port } = listener.address;
    listener.close();
    service.close();
    await listen(port);
    // The client's channel needs a moment to see that the old connection is gone.
    const retried = async <T>(work: () => Promise<T>): Promise<T> => {
      for (;;) {
        const result = await work().catch((error: Error) => error);
        if (!(result instanceof Error)) return result;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await retried(() => receiver.ack(message!));
    await retried(() => sender.send({ topic: 'orders', body: Buffer.from('after') }));
    const bodies: string[] = [];
    while (!bodies.includes('after')) {
      const more = await retried(() => receiver.receive(16, 30_000));
      bodies.push(...more.map(({ body }) => body.toString()));
    }
  });
});

describe('others on the same port', () => {
  it('a wrong frame length ends its stream and nothing else', async () => {
    const sender = await producer();
    const raw = new Client(listener.address);
    const send = METHODS.sendMessage.path;
    const cut = await raw.ask(send, Buffer.from([0, 0, 0, 1, 0, 1, 2]));
    expect(cut).toMatchObject({ status: 13 });
    const giant = await raw.ask(send, Buffer.from([0, 255, 255, 255, 255]));
    expect(giant).toMatchObject({ status: 8 });
    const nonsense = await raw.ask(send, frame(Uint8Array.of(0x0a, 0x7f)));
    expect(nonsense).toMatchObject({ status: 13 });
    expect(nonsense.text).toMatch(/malformed/);
    const unknown = await raw.ask(send.replace('SendMessage', 'PullMessage'), frame(''));
    expect(unknown).toMatchObject({ status: 12 });
    const empty = await raw.ask(send, frame(''));
    expect(empty).toMatchObject({ status: 0 });
    raw.close();
    expect((await sender.send({ topic: 'orders', body: Buffer.from('x') })).offset).toBe(0);
  });

  it('a client of another protocol is closed', async () => {
    const socket = net.connect(listener.address.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    expect(listener.counters.handshakesFailed).toBe(1);
  });
});
