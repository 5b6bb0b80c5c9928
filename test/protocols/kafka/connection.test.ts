import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ApiVersions,
  Fetch,
  Heartbeat,
  Metadata,
  Produce,
} from '../../../src/protocols/kafka/codec/index.ts';
import { concatBytes, encodeUtf8, writeU32 } from '../../../src/std/bytes.ts';
import { batchOf, KafkaWorld } from './harness.ts';

describe('a connection', () => {
  it('answers pipelined requests in their order, a long poll holding back what is behind it', async () => {
    const world = new KafkaWorld();
    world.create('t');
    const client = world.connect();
    const topics = [
      { topic: 't', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }] },
    ];
    const poll = { maxWaitMs: 500, minBytes: 1, maxBytes: 1_000, isolationLevel: 0, topics };
    client.sendRaw(
      concatBytes([
        client.encode(ApiVersions, 0, {}),
        client.encode(Fetch, 11, poll),
        client.encode(Metadata, 1, { topics: [] }),
      ]),
    );
    await world.env.settle();
    expect(client.takeFrames().length).toBe(1);
    await world.env.advanceAsync(501);
    const frames = client.takeFrames();
    expect(client.decode(Fetch, 11, frames[0]!).correlationId).toBe(2);
    expect(client.decode(Metadata, 1, frames[1]!).correlationId).toBe(3);
  });

  it('works on produces while others wait for their commit, and answers them in their order', async () => {
    const world = new KafkaWorld();
    const [slow, quick] = world.create('t', 2);
    slow!.isCommitSlow = true;
    const client = world.connect();
    const produce = (index: number) =>
      client.encode(Produce, 7, {
        transactionalId: null,
        acks: -1,
        timeoutMs: 1_000,
        topicData: [{ name: 't', partitionData: [{ index, records: batchOf(`p${index}`) }] }],
      });
    const requests = [produce(0), produce(1), client.encode(ApiVersions, 0, {}), produce(1)];
    client.sendRaw(concatBytes(requests));
    await world.env.settle();
    // Both produces are in their logs; what is no produce waits for their answers, and holds back the last.
    expect([slow!.batches.length, quick!.batches.length]).toEqual([1, 1]);
    expect(client.takeFrames()).toEqual([]);
    for (const tell of slow!.heldBack.splice(0)) tell();
    await world.env.settle();
    const frames = client.takeFrames();
    expect(frames.map((frame) => new DataView(frame.buffer, frame.byteOffset).getInt32(0))).toEqual(
      [1, 2, 3, 4],
    );
    expect(quick!.batches.length).toBe(2);
  });

  it('bounds the produces that wait for their commit', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.isCommitSlow = true;
    const client = world.connect();
    for (let i = 0; i < 40; i += 1) {
      client.send(Produce, 7, {
        transactionalId: null,
        acks: -1,
        timeoutMs: 60_000,
        topicData: [{ name: 't', partitionData: [{ index: 0, records: batchOf(`v${i}`) }] }],
      });
    }
    await world.env.settle();
    expect(log!.batches.length).toBe(16);
  });

  it('writes once per turn, however many answers the turn gave', async () => {
    const world = new KafkaWorld();
    const client = world.connect();
    const many = Array.from({ length: 50 }, () => client.encode(ApiVersions, 0, {}));
    client.sendRaw(concatBytes(many));
    await world.env.settle();
    expect(client.takeFrames().length).toBe(50);
    expect(client.connection.writes).toBe(1);
    expect(world.listener.counters).toMatchObject({ requests: 50, socketWrites: 1, flushes: 1 });
  });

  it('stops working for a peer that does not read, and goes on when it does', async () => {
    const world = new KafkaWorld({ unsentBytesMax: 1_000, readAheadBytesMax: 2_000 });
    const client = world.connect();
    client.connection.isStuck = true;
    for (let i = 0; i < 500; i += 1) {
      client.send(ApiVersions, 0, {});
      if (i % 5 === 0) await world.env.settle();
    }
    await world.env.settle();
    expect(client.connection.queuedBytes).toBeLessThan(3_000);
    expect(client.connection.isPaused).toBe(true);
    client.connection.isStuck = false;
    client.connection.drain();
    await world.env.settle();
    expect(client.takeFrames().length).toBe(500);
    expect(client.connection.isPaused).toBe(false);
  });

  it('closes a client that never speaks, and one that falls silent', async () => {
    const world = new KafkaWorld({ handshakeTimeoutMs: 10_000, idleTimeoutMs: 60_000 });
    const silent = world.connect();
    const half = world.connect();
    half.sendRaw(Uint8Array.of(0, 0, 0));
    const talking = world.connect();
    await talking.call(ApiVersions, 0, {});
    await world.env.advanceAsync(9_999);
    expect(silent.isClosed || half.isClosed).toBe(false);
    await world.env.advanceAsync(2);
    expect(silent.isClosed && half.isClosed).toBe(true);
    await world.env.advanceAsync(45_000);
    await talking.call(ApiVersions, 0, {});
    await world.env.advanceAsync(30_000);
    expect(talking.isClosed).toBe(false);
    await world.env.advanceAsync(40_000);
    expect(talking.isClosed).toBe(true);
    expect(world.listener.counters.open).toBe(0);
  });

  it('tells in one line what was spoken to it and where to go, and closes within a second', async () => {
    const world = new KafkaWorld();
    for (const [text, said] of [
      ['GET / HTTP/1.1\r\n\r\n', 'HTTP was spoken to the Kafka port; HTTP is served on port 8080'],
      ['AMQP\x00\x00\x09\x01', 'AMQP was spoken to the Kafka port; no listener for AMQP is open'],
    ] as const) {
      world.env.lines.length = 0;
      const client = world.connect();
      client.sendRaw(encodeUtf8(text));
      await world.env.advanceAsync(1_000);
      expect(client.connection.isClosed).toBe(true);
      const lines = world.env.lines.filter((line) => line.level !== 'debug');
      expect(lines.map((line) => line.message)).toEqual([said]);
    }
  });

  it('bounds the connections of one address', async () => {
    const world = new KafkaWorld({ connectionsPerAddressMax: 2 });
    const first = world.connect('10.0.0.1');
    const second = world.connect('10.0.0.1');
    const third = world.connect('10.0.0.1');
    const other = world.connect('10.0.0.2');
    expect([first, second, third, other].map((client) => client.isClosed)).toEqual([
      false,
      false,
      true,
      false,
    ]);
    first.connection.destroy();
    await world.env.settle();
    expect(world.connect('10.0.0.1').isClosed).toBe(false);
  });

  it('closes whoever would make the thread hold more than it may, and forgets what it held', async () => {
    const world = new KafkaWorld({ heldBytesMax: 150_000 });
    const size = new Uint8Array(4);
    writeU32(size, 0, 90_000);
    const body = new Uint8Array(80_000);
    body.set([0, 18, 0, 0]);
    const first = world.connect();
    const second = world.connect();
    first.sendRaw(concatBytes([size, body]));
    expect(world.listener.counters.heldBytes).toBeGreaterThan(80_000);
    second.sendRaw(concatBytes([size, body]));
    await world.env.settle();
    expect([first.isClosed, second.isClosed]).toEqual([false, true]);
    first.connection.destroy();
    await world.env.settle();
    expect(world.listener.counters.heldBytes).toBe(0);
  });

  it('closes on a request whose arrays claim more than there is, and others go on', async () => {
    const world = new KafkaWorld();
    world.create('t');
    const other = world.connect();
    for (const claim of [0x7fffffff, 0x10000000]) {
      const client = world.connect();
      const bytes = client.encode(Metadata, 1, { topics: [] });
      writeU32(bytes, bytes.length - 4, claim);
      client.sendRaw(bytes);
      await world.env.settle();
      expect(client.isClosed).toBe(true);
    }
    expect((await other.call(Metadata, 1, { topics: [] })).brokers.length).toBe(2);
  });

  it('survives requests with any bytes behind a good header, and serves the next client', async () => {
    const world = new KafkaWorld();
    world.create('t');
    const keys = [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 23, 32, 60];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...keys),
        fc.integer({ min: 0, max: 16 }),
        fc.uint8Array({ maxLength: 120 }),
        async (key, version, rest) => {
          const client = world.connect();
          const bytes = new Uint8Array(14 + rest.length);
          writeU32(bytes, 0, bytes.length - 4);
          bytes.set([0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff], 4);
          bytes.set(rest, 14);
          client.sendRaw(bytes);
          await world.env.settle();
          client.connection.destroy();
          await world.env.settle();
        },
      ),
      { numRuns: 600 },
    );
    expect(world.env.lines.filter((line) => line.level === 'error')).toEqual([]);
    expect(world.listener.counters.open).toBe(0);
    await world.connect().call(ApiVersions, 0, {});
  });

  it('closes on a frame that is cut short by the end of the connection without a word', async () => {
    const world = new KafkaWorld();
    const client = world.connect();
    const beat = client.encode(Heartbeat, 0, { groupId: 'g', generationId: 1, memberId: 'm' });
    client.sendRaw(beat.subarray(0, beat.length - 3));
    await world.env.settle();
    client.connection.destroy();
    await world.env.settle();
    expect(client.takeFrames()).toEqual([]);
    expect(world.listener.counters.open).toBe(0);
  });

  it('refuses a batch that is too large for its log by name, not by closing', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.appendResult = 'too-large';
    const client = world.connect();
    const answer = await client.call(Produce, 3, {
      transactionalId: null,
      acks: 1,
      timeoutMs: 1_000,
      topicData: [{ name: 't', partitionData: [{ index: 0, records: batchOf('x') }] }],
    });
    expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(10);
    expect(client.isClosed).toBe(false);
  });
});
