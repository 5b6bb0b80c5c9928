import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type FieldValue,
  METHODS,
  type MethodName,
  PROTOCOL_HEADER,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { concatBytes, encodeUtf8 } from '../../../../src/std/bytes.ts';
import { AmqpWorld, CAPABLE, type Client, lines } from '../fixture.ts';

const END = 0xce;

function frame(type: number, channel: number, payload: Uint8Array | readonly number[]): Uint8Array {
  const size = payload.length;
  const head = [
    type,
    channel >> 8,
    channel & 0xff,
    size >>> 24,
    (size >> 16) & 0xff,
    (size >> 8) & 0xff,
    size & 0xff,
  ];
  return Uint8Array.from([...head, ...payload, END]);
}

/** A publish of key q to the default exchange, and a header that claims `size` bytes. */
function publishHead(size: number): Uint8Array {
  const method = frame(1, 1, [0, 60, 0, 40, 0, 0, 0, 1, 0x71, 0]);
  const header = frame(2, 1, [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, size >> 8, size & 0xff, 0, 0]);
  return concatBytes([method, header]);
}

/** Without its right end. */
function badEnd(bytes: Uint8Array): Uint8Array {
  bytes[bytes.length - 1] = 0;
  return bytes;
}

const body = (text: string): Uint8Array => frame(3, 1, encodeUtf8(text));

async function withQueue(): Promise<[AmqpWorld, Client]> {
  const world = new AmqpWorld();
  const client = await world.connect(2);
  await client.call(1, 'queue.declare', { queue: 'q' });
  return [world, client];
}

/** Nothing is left of any connection, and nobody met a mistake of ours. */
async function expectNothingLeft(world: AmqpWorld): Promise<void> {
  await world.pass(60_000);
  expect(world.env.lines.filter(({ level }) => level === 'error')).toEqual([]);
  expect(world.system.actorTree().filter(({ path }) => path.includes('amqp'))).toEqual([]);
  expect(world.listener.counters).toMatchObject({ open: 0, heldBytes: 0 });
  expect(world.queues.readers.size).toBe(0);
  expect(world.queues.publishers.size).toBe(0);
  for (const queue of world.queues.queues.values()) {
    expect([queue.leased, queue.consumers]).toEqual([[], []]);
  }
}

describe('a message', () => {
  it('whose body is longer than its header said leaves nothing in the queue', async () => {
    const [world, client] = await withQueue();
    client.raw(publishHead(3), body('four'));
    expect(lines(await client.said())).toEqual([
      "0 connection.close 501 'FRAME_ERROR - content body frame exceeds remaining content size' 60 40",
    ]);
    expect(world.queues.queueOf('q').messages).toEqual([]);
  });

  it.each([
    ['in its body', concatBytes([publishHead(8), body('half')])],
    ['in a frame of its body', concatBytes([publishHead(4), body('half').subarray(0, 9)])],
    ['behind its header', publishHead(8)],
    ['in its header', publishHead(8).subarray(0, 30)],
  ])('that is cut %s leaves nothing in the queue', async (_where, bytes) => {
    const [world, client] = await withQueue();
    client.raw(bytes);
    await client.cut();
    expect(world.queues.queueOf('q').messages).toEqual([]);
    await expectNothingLeft(world);
  });

  it('whose channel is closed in the middle leaves nothing in the queue', async () => {
    const [world, client] = await withQueue();
    client.raw(publishHead(8), body('half'));
    const close = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
    expect(lines(await client.call(1, 'channel.close', close))).toEqual([
      "0 connection.close 505 'UNEXPECTED_FRAME - expected content body, got non content body frame instead' 60 40",
    ]);
    expect(world.queues.queueOf('q').messages).toEqual([]);
  });

  it('beyond the largest size ends its channel, and the rest of it is not kept', async () => {
    const world = new AmqpWorld({
      reader: {
        frameBytesMax: 131_072,
        firstFrameBytesMax: 8_192,
        messageBytesMax: 1_000,
        heldBytesMax: 1_000_000,
      },
    });
    const client = await world.connect();
    await client.call(1, 'queue.declare', { queue: 'q' });
    client.raw(publishHead(1_001), body('x'.repeat(1_001)));
    expect(lines(await client.said())).toEqual([
      "1 channel.close 406 'PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000' 60 40",
    ]);
    client.add(1, 'channel.close-ok', {}).add(1, 'channel.open', {});
    expect(lines(await client.addPublish(1, '', 'q', 'small').send())).toEqual([
      '1 channel.open-ok',
    ]);
    expect(world.queues.queueOf('q').bodies()).toEqual(['small']);
  });

  it('with headers a thousand tables deep is refused, and so is a declaration', async () => {
    // Name `t`, tag F, size: six bytes for each table around the next.
    let inner = new Uint8Array(0);
    for (let depth = 0; depth < 1_000; depth += 1) {
      const size = inner.length;
      inner = Uint8Array.from([1, 0x74, 0x46, 0, 0, size >> 8, size & 0xff, ...inner]);
    }
    const table = Uint8Array.from([0, 0, inner.length >> 8, inner.length & 0xff, ...inner]);
    const [, publisher] = await withQueue();
    const method = frame(1, 1, [0, 60, 0, 40, 0, 0, 0, 1, 0x71, 0]);
    const header = frame(2, 1, [0, 60, ...Array(10).fill(0), 0x20, 0, ...table]);
    publisher.raw(method, header);
    expect(lines(await publisher.said())[0]).toMatch(
      /^0 connection\.close 501 'FRAME_ERROR - cannot decode/,
    );
    const [, declarer] = await withQueue();
    declarer.raw(frame(1, 1, [0, 50, 0, 10, 0, 0, 1, 0x72, 0, ...table]));
    expect(lines(await declarer.said())[0]).toMatch(/^0 connection\.close 501 'FRAME_ERROR - /);
  });
});

describe('a connection', () => {
  it.each([
    [
      'an unknown class',
      frame(1, 1, [0, 99, 0, 1]),
      "503 'COMMAND_INVALID - unknown method 99.1' 99 1",
    ],
    [
      'an unknown method',
      frame(1, 1, [0, 60, 0, 99]),
      "503 'COMMAND_INVALID - unknown method 60.99' 60 99",
    ],
    [
      'a method of servers',
      frame(1, 1, [0, 50, 0, 41, 0, 0, 0, 0]),
      "503 'COMMAND_INVALID - unimplemented method' 50 41",
    ],
    [
      'a method of channels on channel 0',
      frame(1, 0, [0, 20, 0, 10, 0]),
      "504 'CHANNEL_ERROR - unexpected method in connection state running' 20 10",
    ],
    [
      'a heartbeat on a channel',
      frame(8, 1, []),
      "505 'UNEXPECTED_FRAME - type 8, all octets = <<>>' 0 0",
    ],
    [
      'a body of nothing',
      body('x'),
      "505 'UNEXPECTED_FRAME - expected method frame, got non method frame instead' 0 0",
    ],
    [
      'a frame of no type',
      frame(9, 1, []),
      `501 'FRAME_ERROR - type 9, all octets = <<>>: unknown_frame' 0 0`,
    ],
    [
      'a frame without its end',
      badEnd(frame(1, 1, [0, 60, 0, 10])),
      "501 'FRAME_ERROR - type 1, all octets = <<0,60,0,10>>: {invalid_frame_end_marker,0}' 0 0",
    ],
  ])('with %s is closed', async (_what, bytes, words) => {
    const [world, client] = await withQueue();
    client.raw(bytes);
    expect(lines(await client.said())).toEqual([`0 connection.close ${words}`]);
    await expectNothingLeft(world);
  });

  it('whose frames are out of step is not waited for', async () => {
    const [, client] = await withQueue();
    client.raw(badEnd(frame(1, 1, [0, 60, 0, 10])));
    await client.said();
    expect(client.socket.isEnded).toBe(true);
  });

  it('that holds more than all may is closed', async () => {
    const world = new AmqpWorld({ heldBytesMax: 10_000 });
    const [client, other] = [await world.connect(), await world.connect()];
    client.raw(publishHead(0xffff), body('x'.repeat(30_000)));
    expect(lines(await client.said())).toEqual([
      "0 connection.close 506 'RESOURCE_ERROR - all clients together have sent more than is kept' 0 0",
    ]);
    expect(world.listener.counters.heldBytes).toBe(0);
    expect(lines(await other.call(1, 'channel.flow', { active: true }))).toEqual([
      '1 channel.flow-ok true',
    ]);
  });

  it('may end anywhere in its handshake', async () => {
    const world = new AmqpWorld();
    const recorder = world.dial();
    const chunks: Uint8Array[] = [];
    const raw = recorder.raw.bind(recorder);
    recorder.raw = (...bytes) => {
      for (const each of bytes) chunks.push(each.slice());
      return raw(...bytes);
    };
    await recorder.handshake({}, CAPABLE);
    await recorder.cut();
    const all = concatBytes(chunks);
    expect(all.subarray(0, 8)).toEqual(PROTOCOL_HEADER);
    for (let end = 0; end < all.length; end += 1) {
      const client = world.dial();
      client.raw(all.subarray(0, end));
      await client.cut();
    }
    await expectNothingLeft(world);
  });
});

describe('deletes', () => {
  it('under consumers that wait end them, and their connection goes on', async () => {
    const [world, client] = await withQueue();
    client.add(1, 'basic.consume', { queue: 'q', consumerTag: 'a' });
    client.add(2, 'basic.consume', { queue: 'q', consumerTag: 'b' });
    await client.send();
    expect(lines(await client.call(1, 'queue.delete', { queue: 'q' })).sort()).toEqual([
      "1 basic.cancel 'a' true",
      '1 queue.delete-ok 0',
      "2 basic.cancel 'b' true",
    ]);
    expect(lines(await client.addPublish(1, '', 'q', 'nowhere', {}, 1).send())).toHaveLength(1);
    expect(lines(await client.call(2, 'queue.declare', { queue: 'q' }))).toEqual([
      "2 queue.declare-ok 'q' 0 0",
    ]);
    await client.cut();
    await expectNothingLeft(world);
  });

  it('of a queue whose messages are out leave acknowledgements that mean nothing', async () => {
    const [world, client] = await withQueue();
    client.addPublish(1, '', 'q', 'm').add(1, 'basic.get', { queue: 'q' });
    client.add(1, 'queue.delete', { queue: 'q' });
    await client.send();
    expect(lines(await client.call(1, 'basic.ack', { deliveryTag: 1 }))).toEqual([]);
    await client.cut();
    await expectNothingLeft(world);
  });
});

describe('whatever comes', () => {
  const names = Object.keys(METHODS) as MethodName[];

  /** A plausible value for an argument. */
  function drawn(kind: string, draw: number): unknown {
    const texts = ['q', '', 'amq.direct', 'x', 't'];
    const table: { name: string; value: FieldValue }[] = [
      { name: 'x-match', value: { type: 'longstr', value: 'any' } },
    ];
    if (kind === 'bit') return draw % 2 === 0;
    if (kind === 'shortstr') return texts[draw % texts.length];
    if (kind === 'longstr') return encodeUtf8('\0guest\0guest');
    if (kind === 'table') return draw % 3 === 0 ? table : [];
    return draw % 4;
  }

  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        method: fc.constantFrom(...names),
        channel: fc.nat(3),
        draws: fc.array(fc.nat(99), { minLength: 12, maxLength: 12 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        publish: fc.constantFrom('q', 'x', ''),
        channel: fc.nat(3),
        bits: fc.nat(3),
      }),
    },
    { weight: 1, arbitrary: fc.record({ bytes: fc.uint8Array({ maxLength: 30 }) }) },
    { weight: 2, arbitrary: fc.record({ waits: fc.constant(true) }) },
  );

  it('no session meets a mistake of ours, and nothing is left of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.boolean(), async (steps, isHeld) => {
        const world = new AmqpWorld();
        const client = await world.connect(2);
        world.holdsChanges = isHeld;
        for (const each of steps) {
          if ('method' in each) {
            const row = METHODS[each.method];
            if (row.from === 'server' || row.kind === 'content') continue;
            const args = Object.entries(row.args).map(([name, arg], i) => [
              name,
              drawn(arg.kind, each.draws[i] ?? 0),
            ]);
            client.add(each.channel, each.method, Object.fromEntries(args));
          } else if ('publish' in each) {
            client.addPublish(each.channel, '', each.publish, 'body', {}, each.bits);
          } else if ('bytes' in each) {
            await client.send();
            client.raw(each.bytes);
          } else {
            world.settleChanges();
            await client.send();
          }
        }
        await client.send();
        world.holdsChanges = false;
        world.settleChanges();
        await client.cut();
        await expectNothingLeft(world);
      }),
      { numRuns: 150 },
    );
  }, 120_000);
});
