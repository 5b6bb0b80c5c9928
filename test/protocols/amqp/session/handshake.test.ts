import { describe, expect, it } from 'vitest';
import {
  type MethodInput,
  PROTOCOL_HEADER,
  tableOf,
  writeTable,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { ByteWriter, encodeUtf8 } from '../../../../src/std/bytes.ts';
import { AmqpWorld, CAPABLE, type Client, lines } from '../fixture.ts';

const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

async function started(world: AmqpWorld, host?: string): Promise<Client> {
  const client = world.dial(host);
  client.raw(PROTOCOL_HEADER);
  expect((await client.said())[0]).toMatchObject({ method: { name: 'connection.start' } });
  return client;
}

function startOk(
  mechanism: string,
  response: Uint8Array,
  capabilities: Record<string, boolean> = CAPABLE,
): MethodInput<'connection.start-ok'> {
  const clientProperties = tableOf({ capabilities, connection_name: 'test' });
  return { clientProperties, mechanism, response, locale: 'en_US' };
}

const GUEST = encodeUtf8('\0guest\0guest');

describe('the handshake', () => {
  it('offers what clients branch on', async () => {
    const client = new AmqpWorld().dial();
    client.raw(PROTOCOL_HEADER);
    const [start] = await client.said();
    expect(start).toMatchObject({
      channel: 0,
      method: { name: 'connection.start', args: { versionMajor: 0, versionMinor: 9 } },
    });
    const { args } = (start as { method: { args: MethodInput<'connection.start'> } }).method;
    expect(Buffer.from(args.mechanisms).toString()).toBe('PLAIN AMQPLAIN');
    expect(Buffer.from(args.locales).toString()).toBe('en_US');
    const properties = Object.fromEntries(
      args.serverProperties!.map(({ name, value }) => [
        name,
        'value' in value ? value.value : null,
      ]),
    );
    expect(Object.keys(properties).sort()).toEqual([
      'capabilities',
      'cluster_name',
      'information',
      'platform',
      'product',
      'version',
    ]);
    const capabilities = properties.capabilities as { name: string; value: { value: boolean } }[];
    expect(Object.fromEntries(capabilities.map(({ name, value }) => [name, value.value]))).toEqual({
      publisher_confirms: true,
      exchange_exchange_bindings: true,
      'basic.nack': true,
      consumer_cancel_notify: true,
      'connection.blocked': true,
      consumer_priorities: true,
      authentication_failure_close: true,
      per_consumer_qos: true,
      direct_reply_to: false,
    });
  });

  it('tunes and opens', async () => {
    const client = new AmqpWorld().dial();
    expect(lines(await client.handshake()).slice(1)).toEqual([
      '0 connection.tune 2047 131072 60',
      '0 connection.open-ok',
    ]);
  });

  it('takes AMQPLAIN', async () => {
    const client = await started(new AmqpWorld());
    const writer = new ByteWriter();
    writeTable(writer, tableOf({ LOGIN: 'guest', PASSWORD: 'guest' }));
    const said = await client.call(
      0,
      'connection.start-ok',
      startOk('AMQPLAIN', writer.toBytes().slice(4)),
    );
    expect(lines(said)).toEqual(['0 connection.tune 2047 131072 60']);
  });

  it.each([
    ['a wrong password', 'PLAIN', '\0guest\0wrong'],
    ['an unknown user', 'PLAIN', '\0admin\0guest'],
  ])('closes with 403 for %s if the client hears that', async (_case, mechanism, response) => {
    const client = await started(new AmqpWorld());
    const said = await client.call(
      0,
      'connection.start-ok',
      startOk(mechanism, encodeUtf8(response)),
    );
    expect(lines(said)).toEqual([
      "0 connection.close 403 'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. " +
        "For details see the broker logfile.' 0 0",
    ]);
    expect(lines(await client.call(0, 'connection.close-ok', {}))).toEqual([]);
    expect(client.socket.isEnded).toBe(true);
  });

  it.each([
    ['a wrong password, of a client that does not hear why', 'PLAIN', '\0guest\0wrong', {}],
    ['a response that cannot be read', 'PLAIN', 'guest', CAPABLE],
    ['somebody who acts for another', 'PLAIN', 'root\0guest\0guest', CAPABLE],
    ['another mechanism', 'EXTERNAL', '', CAPABLE],
    ['AMQPLAIN without a table', 'AMQPLAIN', 'guest', CAPABLE],
  ])('is silent for a while and ends for %s', async (_case, mechanism, response, capabilities) => {
    const world = new AmqpWorld();
    const client = await started(world);
    const args = startOk(mechanism, encodeUtf8(response), capabilities as Record<string, boolean>);
    expect(await client.call(0, 'connection.start-ok', args)).toEqual([]);
    await world.pass(2_900);
    expect(client.socket.isEnded).toBe(false);
    await world.pass(200);
    expect(client.socket.isEnded).toBe(true);
    expect(await client.said()).toEqual([]);
  });

  it('lets guest in from this machine only', async () => {
    for (const [host, name] of [
      ['127.0.0.1', 'connection.tune'],
      ['::ffff:127.0.0.1', 'connection.tune'],
      ['::1', 'connection.tune'],
      ['10.0.0.7', 'connection.close'],
    ] as const) {
      const client = await started(new AmqpWorld(), host);
      const said = await client.call(0, 'connection.start-ok', startOk('PLAIN', GUEST));
      expect(said).toMatchObject([{ method: { name } }]);
    }
  });

  it.each([
    [
      { frameMax: 4095 },
      'negotiated frame_max = 4095 is lower than the minimum allowed value (4096)',
    ],
    [
      { frameMax: 131_073 },
      'negotiated frame_max = 131073 is higher than the maximum allowed value (131072)',
    ],
    [{ frameMax: 0 }, 'negotiated frame_max = 0 is higher than the maximum allowed value (131072)'],
    [
      { channelMax: 2048 },
      'negotiated channel_max = 2048 is higher than the maximum allowed value (2047)',
    ],
    [
      { channelMax: 0 },
      'negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)',
    ],
  ])('refuses %j', async (tune, words) => {
    const client = new AmqpWorld().dial();
    const said = lines(await client.handshake(tune));
    expect(said.slice(2)).toEqual([`0 connection.close 530 'NOT_ALLOWED - ${words}' 10 30`]);
  });

  it('takes a frame_max of 4096', async () => {
    const client = new AmqpWorld().dial();
    expect(lines(await client.handshake({ frameMax: 4096 })).at(-1)).toBe('0 connection.open-ok');
  });

  it('knows one vhost', async () => {
    const client = await started(new AmqpWorld());
    client.add(0, 'connection.start-ok', startOk('PLAIN', GUEST));
    client.add(0, 'connection.tune-ok', { channelMax: 10, frameMax: 4096, heartbeat: 0 });
    const said = await client.call(0, 'connection.open', { virtualHost: 'other' });
    expect(lines(said).slice(1)).toEqual([
      "0 connection.close 530 'NOT_ALLOWED - vhost other not found' 10 40",
    ]);
  });

  it('has its order', async () => {
    const early = await started(new AmqpWorld());
    const said = await early.call(0, 'connection.open', { virtualHost: '/' });
    expect(lines(said)).toEqual([
      "0 connection.close 504 'CHANNEL_ERROR - unexpected method in connection state starting' 10 40",
    ]);
    const twice = await new AmqpWorld().connect();
    expect(lines(await twice.call(0, 'connection.open', { virtualHost: '/' }))).toEqual([
      "0 connection.close 504 'CHANNEL_ERROR - unexpected method in connection state running' 10 40",
    ]);
  });

  it('has ten seconds in all', async () => {
    const world = new AmqpWorld();
    const silent = world.dial();
    const slow = await started(world);
    const done = await world.connect();
    await world.pass(6_000);
    await slow.call(0, 'connection.start-ok', startOk('PLAIN', GUEST));
    await world.pass(3_900);
    expect([silent.socket.isEnded, slow.socket.isEnded]).toEqual([false, false]);
    await world.pass(200);
    expect([silent.socket.isEnded, slow.socket.isEnded, done.socket.isEnded]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it.each([
    ['GET / HTTP/1.1\r\n\r\n', 'HTTP was spoken to the AMQP port; HTTP is served on port 8080'],
    ['\x16\x03\x01\x02\x00', 'TLS was spoken to the AMQP port; no listener for TLS is open'],
    [
      '\0\0\0\x20\0\x12\0\x03\0\0',
      'Kafka was spoken to the AMQP port; Kafka is served on port 9092',
    ],
    [
      'HELLO',
      'an unknown protocol was spoken to the AMQP port; no listener for an unknown protocol is open',
    ],
    ['AMQP\x03\x01\0\0', 'AMQP 1.0 was spoken to the AMQP port; no listener for AMQP 1.0 is open'],
  ])('answers %j with its own header, ends, and says so once', async (bytes, line) => {
    const world = new AmqpWorld();
    const client = world.dial();
    client.raw(latin1(bytes), latin1(bytes));
    expect(await client.bytes()).toEqual(PROTOCOL_HEADER);
    expect(client.socket.isEnded).toBe(true);
    await world.pass(1_000);
    expect(client.socket.isClosed).toBe(true);
    const warnings = world.env.lines.filter(({ level }) => level === 'warn');
    expect(warnings.map(({ message }) => message)).toEqual([line]);
    expect(world.listener.counters.open).toBe(0);
  });

  it('refuses an address with too many connections', async () => {
    const world = new AmqpWorld({ connectionsPerAddressMax: 2 });
    const clients = [world.dial(), world.dial(), world.dial(), world.dial('10.0.0.9')];
    expect(clients.map(({ socket }) => socket.isClosed)).toEqual([false, false, true, false]);
    await clients[0].cut();
    expect(world.dial().socket.isClosed).toBe(false);
    expect(world.listener.counters).toMatchObject({ accepted: 4, open: 3, refused: 1 });
  });
});

describe('heartbeats', () => {
  async function beating(world: AmqpWorld): Promise<Client> {
    const client = world.dial();
    await client.handshake({ heartbeat: 10 });
    return client;
  }

  const BEAT = Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0xce);

  it('are sent where nothing else was, every half interval', async () => {
    const world = new AmqpWorld();
    const client = await beating(world);
    await world.pass(5_000);
    expect(await client.bytes()).toEqual(new Uint8Array(0));
    for (let beats = 0; beats < 3; beats += 1) {
      client.raw(BEAT);
      await world.pass(5_000);
      expect(await client.bytes()).toEqual(BEAT);
    }
    client.raw(BEAT);
    await client.call(1, 'channel.open', {});
    await world.pass(5_000);
    expect(await client.bytes()).toEqual(new Uint8Array(0));
  });

  it('end a connection that is silent for two to three intervals', async () => {
    const world = new AmqpWorld();
    const client = await beating(world);
    await world.pass(9_000);
    client.raw(BEAT);
    await world.pass(20_900);
    expect(client.socket.isClosed).toBe(false);
    await world.pass(200);
    expect(client.socket.isClosed).toBe(true);
    expect(world.env.lines.map(({ fields }) => fields.reason)).toContain(
      'missed heartbeats from client',
    );
  });

  it('are not missed while nobody reads', async () => {
    const world = new AmqpWorld();
    const client = await beating(world);
    client.add(1, 'channel.open', {});
    await client.addPublish(1, '', 'q', 'x').send();
    const [publisher] = world.queues.publishers;
    publisher.sink.full();
    await world.pass(60_000);
    expect([client.socket.isPaused, client.socket.isClosed]).toEqual([true, false]);
    publisher.sink.room();
    expect(client.socket.isPaused).toBe(false);
    await world.pass(30_000);
    expect(client.socket.isClosed).toBe(true);
  });

  it('are off with 0', async () => {
    const world = new AmqpWorld();
    const client = world.dial();
    await client.handshake({ heartbeat: 0 });
    await client.bytes();
    await world.pass(600_000);
    expect(client.socket.isClosed).toBe(false);
    expect(await client.bytes()).toEqual(new Uint8Array(0));
  });
});

describe('the end of a connection', () => {
  it('is answered', async () => {
    const client = await new AmqpWorld().connect();
    const close = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 };
    expect(lines(await client.call(0, 'connection.close', close))).toEqual([
      '0 connection.close-ok',
    ]);
    expect(client.socket.isEnded).toBe(true);
  });

  it('is waited for, but not for long', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    await client.call(0, 'connection.open', { virtualHost: '/' });
    expect(client.socket.isEnded).toBe(false);
    // Nothing counts any more.
    expect(await client.call(2, 'channel.open', {})).toEqual([]);
    await world.pass(3_100);
    expect(client.socket.isEnded).toBe(true);
    await world.pass(600);
    expect(client.socket.isClosed).toBe(true);
    expect(world.listener.counters.open).toBe(0);
  });

  it('comes with a reason when the node stops', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    const closed = world.listener.close();
    expect(lines(await client.said())).toEqual([
      "0 connection.close 320 'CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'' 0 0",
    ]);
    await client.call(0, 'connection.close-ok', {});
    expect(client.socket.isEnded).toBe(true);
    await client.cut();
    await closed;
    expect(world.dial().socket.isClosed).toBe(true);
  });

  it('comes anyway when the node stops, whether the client answers or not', async () => {
    const world = new AmqpWorld();
    const clients = [await world.connect(), world.dial()];
    const closed = world.listener.close();
    await world.pass(200);
    expect(clients.map(({ socket }) => socket.isClosed)).toEqual([false, false]);
    await world.pass(100);
    await closed;
    expect(clients.map(({ socket }) => socket.isClosed)).toEqual([true, true]);
  });

  it('of both at once is answered', async () => {
    const client = await new AmqpWorld().connect();
    await client.call(1, 'tx.select', {});
    const close = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 };
    expect(lines(await client.call(0, 'connection.close', close))).toEqual([
      '0 connection.close-ok',
    ]);
    expect(client.socket.isEnded).toBe(true);
  });

  it('leaves no actor behind', async () => {
    const world = new AmqpWorld();
    const client = await world.connect(3);
    expect(world.queues.readers.size).toBe(1);
    await client.cut();
    await world.pass(1_000);
    expect(world.queues.readers.size).toBe(0);
    expect(world.system.actorTree().filter(({ path }) => path.includes('amqp'))).toEqual([]);
    expect(world.listener.counters).toMatchObject({ open: 0, heldBytes: 0 });
  });
});
