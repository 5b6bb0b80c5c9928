// What a node tells clients of RocketMQ that are broken, lost or hostile. After each test the nodes still run,
// have not grown, and a client with manners is served as before.
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Key, frame as kafkaFrame } from '../../bench/lib/kafka-wire.ts';
import { decodeMessage, encodeMessage } from '../../src/protocols/rocketmq/grpc/proto/index.ts';
import { Code } from '../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import { type DevCluster, isAlive, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { RawSocket, residentBytes } from './support/raw.ts';
import { framed, METHODS, RocketCaller } from './support/rocketmq.ts';

/** As for the other protocols: an idle node takes about 100 MB. */
const RESIDENT_BYTES_MAX = 320 * 1024 * 1024;
const CLOSE_MS = 1_000;
/** gRPC's statuses. */
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;

let cluster: DevCluster;
let address: string;
let caller: RocketCaller;
let polite = 0;

beforeAll(async () => {
  cluster = await startDev();
  address = cluster.nodes[0]!.rocketmq;
  caller = new RocketCaller(address, 'broken');
  expect(await caller.send('polite', 'first')).toBe(Code.OK);
});

afterAll(async () => {
  caller?.close();
  await cluster?.stop();
});

afterEach(async () => {
  for (const { pid } of cluster.nodes) {
    expect(isAlive(pid), cluster.output()).toBe(true);
    expect(residentBytes(pid)).toBeLessThan(RESIDENT_BYTES_MAX);
  }
  polite += 1;
  const next = new RocketCaller(address, `polite-${polite}`);
  expect(await next.send('polite', `${polite}`)).toBe(Code.OK);
  next.close();
});

const route = encodeMessage(METHODS.queryRoute.request, { topic: { name: 'polite' } });

describe("gRPC's framing", () => {
  it.each<[string, Buffer, number, RegExp]>([
    [
      'longer than the body',
      framed(route, { size: route.length + 7 }),
      INTERNAL,
      /inside a message/,
    ],
    ['shorter than the body', framed(route, { size: route.length - 1 }), INTERNAL, /inside|begins/],
    ['huge', framed(route, { size: 0xffff_ffff }), RESOURCE_EXHAUSTED, /4294967295 bytes/],
    ['without a body', Buffer.from([0, 0]), INTERNAL, /inside a message/],
    ['of two messages', Buffer.concat([framed(route), framed(route)]), UNIMPLEMENTED, /second/],
    ['of none', Buffer.alloc(0), UNIMPLEMENTED, /none came/],
    ['with an unknown flag', framed(route, { flag: 9 }), INTERNAL, /begins with 9/],
    ['compressed, it says not how', framed(route, { flag: 1 }), INTERNAL, /does not say how/],
  ])('%s ends its call alone', async (_name, bytes, status, text) => {
    const other = caller.raw(METHODS.queryRoute, framed(route));
    expect(await caller.raw(METHODS.queryRoute, bytes)).toMatchObject({
      status,
      text: expect.stringMatching(text),
    });
    expect(await other).toMatchObject({ status: 0 });
  });

  it('what is compressed and is not, or is too much, is refused; what is, is read', async () => {
    const gzip = { 'grpc-encoding': 'gzip' };
    const ask = (body: Uint8Array) =>
      caller.raw(METHODS.queryRoute, framed(body, { flag: 1 }), gzip);
    expect(await ask(route)).toMatchObject({ status: INTERNAL });
    expect(await ask(gzipSync(Buffer.alloc(9 << 20)))).toMatchObject({
      status: RESOURCE_EXHAUSTED,
    });
    expect(await ask(gzipSync(route))).toMatchObject({ status: 0 });
  });

  it('garbage in a true frame is malformed, or means nothing', async () => {
    const random = new SeededRandom(3);
    for (let round = 0; round < 60; round += 1) {
      const noise = Uint8Array.from({ length: 1 + random.below(200) }, () => random.below(256));
      const method = Object.values(METHODS)[round % Object.keys(METHODS).length]!;
      const { status } = await caller.raw(method, framed(noise));
      expect([0, INTERNAL]).toContain(status);
    }
  });

  it('an unknown call is UNIMPLEMENTED', async () => {
    const stream = await caller.client.ask(
      '/apache.rocketmq.v2.MessagingService/Nothing',
      framed(route),
    );
    expect(stream).toMatchObject({ status: UNIMPLEMENTED });
  });
});

describe('what is not HTTP/2', () => {
  const lines = (pattern: RegExp): string[] =>
    cluster
      .logOf(1)
      .split('\n')
      .filter((line) => pattern.test(line));

  it.each<[string, string | Uint8Array, 'kafka' | 'amqp' | 'http' | undefined]>([
    ['HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', 'http'],
    [
      'TLS',
      Buffer.from([0x16, 3, 1, 0, 0xf0, 1, 0, 0, 0xec, 3, 3, ...Array(32).fill(7)]),
      undefined,
    ],
    ['AMQP', Buffer.from('AMQP\0\0\x09\x01', 'latin1'), 'amqp'],
    ['Kafka', kafkaFrame(Key.apiVersions, 0, 1, Buffer.alloc(0)), 'kafka'],
    [
      'RocketMQ Remoting',
      Buffer.concat([
        Buffer.from([0, 0, 0, 94, 0, 0, 0, 90]),
        Buffer.from('{"code":105}'.padEnd(90)),
      ]),
      undefined,
    ],
  ])(
    '%s is closed within a second, and one log line says what it was and where it is served',
    async (name, hello, served) => {
      const pattern = new RegExp(`${name} was spoken to the RocketMQ port`);
      const raw = (await RawSocket.connect(address)).listen().send(hello);
      expect(await raw.closedWithin(CLOSE_MS)).toBeDefined();
      expect(raw.receivedBytes).toBe(0);
      await until('the log tells', () => lines(pattern).length > 0, 5_000);
      expect(lines(pattern)).toHaveLength(1);
      const port = served === undefined ? 'no listener' : portOf(cluster.nodes[0]![served]);
      expect(lines(pattern)[0]).toContain(port);
    },
  );

  it.each([
    ['Kafka', 'kafka'],
    ['AMQP', 'amqp'],
  ] as const)('HTTP/2 on the port of %s is told where it is served', async (name, field) => {
    const raw = (await RawSocket.connect(cluster.nodes[0]![field].replace('amqp://', ''))).listen();
    raw.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(await raw.closedWithin(CLOSE_MS)).toBeDefined();
    const pattern = new RegExp(`gRPC was spoken to the ${name} port`);
    await until('the log tells', () => lines(pattern).length > 0, 5_000);
    expect(lines(pattern)[0]).toContain(portOf(address));
  });

  it('random bytes, also behind a true beginning, close the connection', async () => {
    const random = new SeededRandom(5);
    for (let round = 0; round < 40; round += 1) {
      const noise = Buffer.from(Array.from({ length: 2_048 }, () => random.below(256)));
      const hello = Buffer.from(round % 2 === 0 ? '' : 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      const raw = (await RawSocket.connect(address)).listen().send(Buffer.concat([hello, noise]));
      raw.socket.end();
      expect(await raw.closedWithin(CLOSE_MS), `round ${round}`).toBeDefined();
    }
  });
});

function portOf(url: string): string {
  return url.slice(url.lastIndexOf(':') + 1);
}

describe('true calls about nothing', () => {
  it('topics that cannot be, or are not there', async () => {
    const topic = { name: 'no/such' };
    expect(await caller.codeOf(METHODS.queryRoute, { topic })).toBe(Code.ILLEGAL_TOPIC);
    expect(await caller.codeOf(METHODS.queryRoute, {})).toBe(Code.ILLEGAL_TOPIC);
    expect(await caller.send('x'.repeat(200), 'm')).toBe(Code.ILLEGAL_TOPIC);
    const group = { name: 'g' };
    const missing = { topic: { name: 'missing' }, group };
    expect(await caller.codeOf(METHODS.queryAssignment, missing)).toBe(Code.TOPIC_NOT_FOUND);
    const entries = [{ messageId: 'm', receiptHandle: 'h' }];
    expect(await caller.codeOf(METHODS.ackMessage, { ...missing, entries })).toBe(
      Code.TOPIC_NOT_FOUND,
    );
    const receive = {
      group,
      messageQueue: { topic: { name: 'missing' }, broker: { name: 'callboard-0' } },
      batchSize: 1,
      invisibleDuration: { seconds: 10 },
      longPollingTimeout: { seconds: 1 },
    };
    expect(await caller.codeOf(METHODS.receiveMessage, receive)).toBe(Code.TOPIC_NOT_FOUND);
  });

  it('settings without a type, and clients without an id', async () => {
    const settings = { settings: { subscription: { group: { name: 'g' } } } };
    const stream = caller.client.start(METHODS.telemetry.path, { 'x-mq-client-id': 'typeless' });
    const got = new Promise<Buffer>((resolve) => stream.once('data', resolve));
    stream.write(framed(encodeMessage(METHODS.telemetry.request, settings)));
    const { status } = decodeMessage(METHODS.telemetry.response, (await got).subarray(5));
    expect(status?.code).toBe(Code.UNRECOGNIZED_CLIENT_TYPE);
    stream.end();
    const nameless = new RocketCaller(address, '');
    expect(await nameless.codeOf(METHODS.heartbeat, { clientType: 1 })).toBe(
      Code.CLIENT_ID_REQUIRED,
    );
    expect(
      await nameless.raw(
        METHODS.telemetry,
        framed(encodeMessage(METHODS.telemetry.request, settings)),
      ),
    ).toMatchObject({ status: 3 });
    nameless.close();
  });
});

it('receipt handles that are forged, damaged, of another group or over are refused, and do nothing', async () => {
  expect(await caller.send('handled', 'held')).toBe(Code.OK);
  const take = async (group: string): Promise<string> => {
    const found = await until('it comes', async () => {
      const handles = await caller.receive('handled', group);
      return handles.get('held') ?? false;
    });
    return found;
  };
  const handle = await take('readers');
  const INVALID = Code.INVALID_RECEIPT_HANDLE;
  const damaged = (at: number) =>
    handle.slice(0, at) + (handle[at] === 'A' ? 'B' : 'A') + handle.slice(at + 1);
  const forged = Buffer.alloc(37, 1).toString('base64url');
  const bad = ['', 'h', forged, damaged(1), damaged(20), damaged(45), `${handle}A`, '\u{1f4a3}'];
  expect(await caller.acknowledge('handled', 'readers', bad)).toEqual(bad.map(() => INVALID));
  expect(await caller.acknowledge('handled', 'others', [handle])).toEqual([INVALID]);
  expect(await caller.acknowledge('polite', 'readers', [handle])).toEqual([INVALID]);
  const change = (receiptHandle: string, seconds: number) =>
    caller.codeOf(METHODS.changeInvisibleDuration, {
      topic: { name: 'handled' },
      group: { name: 'readers' },
      receiptHandle,
      invisibleDuration: { seconds },
    });
  for (const each of bad) expect(await change(each, 10)).toBe(INVALID);
  expect(await change(handle, 43_201)).toBe(Code.ILLEGAL_INVISIBLE_TIME);
  // Given back, and taken by somebody else: the old handle is over, and the new one works.
  expect(await change(handle, 0)).toBe(Code.OK);
  const again = await take('readers');
  expect(await caller.acknowledge('handled', 'readers', [handle])).toEqual([INVALID]);
  expect(await caller.acknowledge('handled', 'readers', [again])).toEqual([Code.OK]);
  expect(await caller.receive('handled', 'readers')).toEqual(new Map());
});
