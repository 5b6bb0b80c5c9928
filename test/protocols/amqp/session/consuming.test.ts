import { describe, expect, it } from 'vitest';
import { AmqpWorld, CAPABLE, type Client, lines } from '../fixture.ts';

const CLOSE = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 };

async function withMessages(...bodies: string[]): Promise<[AmqpWorld, Client]> {
  const world = new AmqpWorld();
  const client = await world.connect();
  client.add(1, 'queue.declare', { queue: 'q' });
  for (const body of bodies) client.addPublish(1, '', 'q', body);
  await client.send();
  return [world, client];
}

const consume = (client: Client, tag: string, over: object = {}, channel = 1): Client =>
  client.add(channel, 'basic.consume', { queue: 'q', consumerTag: tag, ...over });
const qos = (client: Client, prefetchCount: number, global = false, channel = 1): Client =>
  client.add(channel, 'basic.qos', { prefetchSize: 0, prefetchCount, global });

/** `tag number body`, with a star where it was delivered before. */
function deliveries(said: Awaited<ReturnType<Client['said']>>): string[] {
  return said.flatMap((entry) => {
    if (entry.op !== 'content' || entry.method?.name !== 'basic.deliver') return [];
    const { consumerTag, deliveryTag, redelivered } = entry.method.args;
    return [`${consumerTag} ${deliveryTag} ${entry.body}${redelivered ? '*' : ''}`];
  });
}

describe('consumers', () => {
  it('hear consume-ok before their first message and nothing behind cancel-ok', async () => {
    const [world, client] = await withMessages('a', 'b');
    expect(lines(await consume(client, 't').send())).toEqual([
      "1 basic.consume-ok 't'",
      "1 basic.deliver 't' 1 false '' 'q' a",
      "1 basic.deliver 't' 2 false '' 'q' b",
    ]);
    client.add(1, 'basic.cancel', { consumerTag: 't' }).addPublish(1, '', 'q', 'c');
    expect(lines(await client.send())).toEqual(["1 basic.cancel-ok 't'"]);
    // What they hold can still be acknowledged.
    await client.call(1, 'basic.ack', { deliveryTag: 2, multiple: true });
    expect(world.queues.queueOf('q').bodies()).toEqual(['c']);
    expect(world.queues.queueOf('q').leased).toEqual([]);
  });

  it('get names from the server where they have none', async () => {
    const [, client] = await withMessages();
    const said = lines(await consume(client, '').send());
    expect(said[0]).toMatch(/^1 basic\.consume-ok 'amq\.ctag-[\w-]{22}'$/);
  });

  it('share what comes in turns, and higher priorities come first', async () => {
    const [, client] = await withMessages();
    consume(client, 'a');
    consume(client, 'b');
    await client.send();
    for (const body of ['1', '2', '3', '4']) client.addPublish(1, '', 'q', body);
    const shares = deliveries(await client.send()).map((line) => line.slice(0, 1));
    expect(shares.sort()).toEqual(['a', 'a', 'b', 'b']);
    const priority = [{ name: 'x-priority', value: { type: 'signedint' as const, value: 5 } }];
    qos(client, 1);
    consume(client, 'first', { arguments: priority });
    await client.send();
    for (const body of ['5', '6']) client.addPublish(1, '', 'q', body);
    expect(deliveries(await client.send())[0]).toBe('first 5 5');
  });

  it('without acknowledgement hold nothing', async () => {
    const [world, client] = await withMessages('a', 'b');
    qos(client, 1);
    expect(deliveries(await consume(client, 't', { noAck: true }).send())).toEqual([
      't 1 a',
      't 2 b',
    ]);
    expect(world.queues.queueOf('q').messages.map(({ state }) => state)).toEqual(['gone', 'gone']);
    expect(lines(await client.call(1, 'basic.ack', { deliveryTag: 1 }))).toEqual([
      "1 channel.close 406 'PRECONDITION_FAILED - unknown delivery tag 1' 60 80",
    ]);
  });

  it('hear that their queue was deleted', async () => {
    const [world, client] = await withMessages();
    await consume(client, 't').send();
    const other = await world.connect();
    await other.call(1, 'queue.delete', { queue: 'q' });
    expect(lines(await client.said())).toEqual(["1 basic.cancel 't' true"]);
    // Its name is free, and an answer to the cancel is no mistake.
    client.add(1, 'basic.cancel-ok', { consumerTag: 't' }).add(1, 'queue.declare', { queue: 'q' });
    expect(lines(await consume(client, 't').send())).toEqual([
      "1 queue.declare-ok 'q' 0 0",
      "1 basic.consume-ok 't'",
    ]);
  });

  it('do not hear it if they cannot', async () => {
    const world = new AmqpWorld();
    const client = await world.connect(1, { ...CAPABLE, consumer_cancel_notify: false });
    client.add(1, 'queue.declare', { queue: 'q' });
    await consume(client, 't').send();
    const other = await world.connect();
    await other.call(1, 'queue.delete', { queue: 'q' });
    expect(lines(await client.said())).toEqual([]);
  });

  it.each([
    ['consumers', (client: Client) => consume(client, 't'), '60 20'],
    ['gets', (client: Client) => client.add(1, 'basic.get', { queue: 'q' }), '60 70'],
  ])(
    '%s that nobody answers are refused in time, and hold up no close for longer',
    async (_what, step, ids) => {
      const [world, client] = await withMessages('a');
      world.queues.isMute = true;
      step(client);
      client.add(0, 'connection.close', CLOSE);
      expect(lines(await client.send())).toEqual([]);
      await world.pass(9_900);
      expect(lines(await client.said())).toEqual([]);
      await world.pass(200);
      const words = "home node 'node-1' of durable queue 'q' in vhost '/' is down or inaccessible";
      expect(lines(await client.said())).toEqual([
        `1 channel.close 404 'NOT_FOUND - ${words}' ${ids}`,
        '0 connection.close-ok',
      ]);
      expect(world.queues.queueOf('q').leased).toEqual([]);
    },
  );

  it.each([
    ['consumers', (client: Client) => consume(client, 't'), '60 20'],
    ['gets', (client: Client) => client.add(1, 'basic.get', { queue: 'q' }), '60 70'],
  ])('%s are refused at once while nobody can lead their queue', async (_what, step, ids) => {
    const [world, client] = await withMessages('a');
    world.queues.isOut = true;
    const words = "home node 'node-1' of durable queue 'q' in vhost '/' is down or inaccessible";
    expect(lines(await step(client).send())).toEqual([
      `1 channel.close 404 'NOT_FOUND - ${words}' ${ids}`,
    ]);
    expect(world.queues.queueOf('q').consumers).toEqual([]);
  });

  it('that wait for their queue when the connection is cut are forgotten', async () => {
    const [world, client] = await withMessages('a');
    world.queues.isMute = true;
    await consume(client, 't').send();
    await client.cut();
    await world.pass(1_000);
    expect(world.system.actorTree().filter(({ path }) => path.includes('amqp'))).toEqual([]);
    expect(world.queues.readers.size).toBe(0);
  });
});

describe('prefetch', () => {
  it('counts for consumers that start behind it', async () => {
    const [, client] = await withMessages('a', 'b', 'c', 'd');
    qos(client, 2);
    consume(client, 't');
    qos(client, 0);
    expect(deliveries(await client.send())).toEqual(['t 1 a', 't 2 b']);
    expect(deliveries(await client.call(1, 'basic.ack', { deliveryTag: 1 }))).toEqual(['t 3 c']);
  });

  it('of the channel is shared by its consumers, applies at once and together with theirs', async () => {
    const [, client] = await withMessages();
    qos(client, 2);
    consume(client, 'a');
    consume(client, 'b');
    qos(client, 3, true);
    await client.send();
    for (const body of ['1', '2', '3', '4', '5']) client.addPublish(1, '', 'q', body);
    const first = deliveries(await client.send());
    expect(first).toHaveLength(3);
    expect(deliveries(await client.call(1, 'basic.ack', { deliveryTag: 2 }))).toHaveLength(1);
    expect(deliveries(await qos(client, 4, true).send())).toHaveLength(1);
    expect(deliveries(await qos(client, 0, true).send())).toEqual([]);
  });

  it('of the channel counts what cancelled consumers hold, and no gets', async () => {
    const [, client] = await withMessages('a', 'b', 'c', 'd');
    client.add(1, 'basic.get', { queue: 'q' });
    qos(client, 1, true);
    expect(deliveries(await consume(client, 't').send())).toEqual(['t 2 b']);
    client.add(1, 'basic.cancel', { consumerTag: 't' });
    expect(deliveries(await consume(client, 'u').send())).toEqual([]);
    expect(deliveries(await client.call(1, 'basic.ack', { deliveryTag: 2 }))).toEqual(['u 3 c']);
  });
});

describe('settlement', () => {
  it('puts messages back where they were', async () => {
    const [, client] = await withMessages('1', '2', '3', '4');
    qos(client, 2);
    await consume(client, 't').send();
    client.add(1, 'basic.cancel', { consumerTag: 't' });
    client.add(1, 'basic.nack', { deliveryTag: 2, requeue: true });
    client.add(1, 'basic.nack', { deliveryTag: 1, requeue: true });
    qos(client, 0);
    expect(deliveries(await consume(client, 'u').send())).toEqual([
      'u 3 1*',
      'u 4 2*',
      'u 5 3',
      'u 6 4',
    ]);
  });

  it('drops what is not to come back, one or all up to it', async () => {
    const [world, client] = await withMessages('1', '2', '3', '4');
    await consume(client, 't').send();
    client.add(1, 'basic.reject', { deliveryTag: 3, requeue: false });
    await client.call(1, 'basic.nack', { deliveryTag: 2, multiple: true, requeue: false });
    expect(world.queues.queueOf('q').bodies('gone')).toEqual(['1', '2', '3']);
    expect(world.queues.queueOf('q').bodies('leased')).toEqual(['4']);
  });

  it('counts what was rejected, and not what was only given back', async () => {
    const [world, client] = await withMessages('1', '2');
    for (let i = 0; i < 2; i += 1) client.add(1, 'basic.get', { queue: 'q' });
    await client.send();
    client.add(1, 'basic.reject', { deliveryTag: 1, requeue: true });
    await client.call(1, 'basic.nack', { deliveryTag: 2, requeue: true });
    expect(world.queues.queueOf('q').messages.map(({ returns }) => returns)).toEqual([1, 0]);
  });

  it('counts whatever comes back to a quorum queue, and tells how often it did', async () => {
    const world = new AmqpWorld();
    const client = await world.connect(2);
    const type = [{ name: 'x-queue-type', value: { type: 'longstr' as const, value: 'quorum' } }];
    client.add(1, 'queue.declare', { queue: 'q', durable: true, arguments: type });
    client.addPublish(1, '', 'q', 'a', { headers: [{ name: 'h', value: type[0]!.value }] });
    await client.send();
    const got = async (channel: number) => {
      const [entry] = await client.call(channel, 'basic.get', { queue: 'q' });
      if (entry?.op !== 'content') throw new Error('nothing came');
      return entry.properties.headers;
    };
    const own = { name: 'h', value: { type: 'longstr', value: 'quorum' } };
    const count = (value: number) => ({ name: 'x-delivery-count', value: { type: 'long', value } });
    expect(await got(1)).toEqual([own]);
    client.add(1, 'basic.nack', { deliveryTag: 1, requeue: true });
    expect(await got(1)).toEqual([own, count(1)]);
    client.add(1, 'basic.reject', { deliveryTag: 2, requeue: true });
    expect(await got(1)).toEqual([own, count(2)]);
    client.add(1, 'basic.recover', { requeue: true });
    await client.send();
    expect(await got(1)).toEqual([own, count(3)]);
    client.add(1, 'channel.close', CLOSE);
    await client.send();
    expect(await got(2)).toEqual([own, count(4)]);
    // What is dropped by its consumer does not come back.
    await client.call(2, 'basic.reject', { deliveryTag: 1, requeue: false });
    expect(world.queues.queueOf('q').bodies('gone')).toEqual(['a']);
  });

  it('of everything is tag 0', async () => {
    const [world, client] = await withMessages('1', '2');
    await consume(client, 't').send();
    client.add(1, 'basic.get', { queue: 'q' });
    await client.call(1, 'basic.ack', { deliveryTag: 0, multiple: true });
    expect(world.queues.queueOf('q').leased).toEqual([]);
  });

  it('is once for each message', async () => {
    const [, client] = await withMessages('1');
    await consume(client, 't').send();
    client.add(1, 'basic.ack', { deliveryTag: 1 }).add(1, 'basic.ack', { deliveryTag: 1 });
    expect(lines(await client.send())).toEqual([
      "1 channel.close 406 'PRECONDITION_FAILED - unknown delivery tag 1' 60 80",
    ]);
  });

  it('shows all digits of a tag that nobody knows', async () => {
    const [, client] = await withMessages('1');
    client.raw(
      Uint8Array.from([1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, ...Array(8).fill(255), 0, 0xce]),
    );
    expect(lines(await client.said())).toEqual([
      "1 channel.close 406 'PRECONDITION_FAILED - unknown delivery tag 18446744073709551615' 60 80",
    ]);
  });

  it.each([
    [
      'recover',
      (client: Client) => client.add(1, 'basic.recover', { requeue: true }),
      ['1 basic.recover-ok'],
    ],
    [
      'recover-async',
      (client: Client) => client.add(1, 'basic.recover-async', { requeue: true }),
      [],
    ],
  ])('%s gives everything back', async (_name, step, answer) => {
    const [, client] = await withMessages('1', '2');
    client.add(1, 'basic.get', { queue: 'q' }).add(1, 'basic.get', { queue: 'q' });
    await client.send();
    expect(lines(await step(client).send())).toEqual(answer);
    expect(deliveries(await consume(client, 't').send())).toEqual(['t 3 1*', 't 4 2*']);
  });

  it.each([
    ['the channel is closed', (client: Client) => client.add(1, 'channel.close', CLOSE).send()],
    ['the channel fails', (client: Client) => client.call(1, 'queue.purge', { queue: 'none' })],
    ['the connection is closed', (client: Client) => client.call(0, 'connection.close', CLOSE)],
    ['the connection fails', (client: Client) => client.call(1, 'tx.select', {})],
    ['the connection is cut', (client: Client) => client.cut()],
  ])('comes by itself when %s', async (_case, end) => {
    const [world, client] = await withMessages('1', '2', '3', '4');
    client.add(1, 'basic.get', { queue: 'q' });
    qos(client, 1);
    await consume(client, 't').send();
    client.add(1, 'basic.cancel', { consumerTag: 't' });
    await consume(client, 'u').send();
    expect(world.queues.queueOf('q').leased).toHaveLength(3);
    await end(client);
    await world.settle();
    expect(world.queues.queueOf('q').bodies()).toEqual(['1', '2', '3', '4']);
    const other = await world.connect();
    expect(deliveries(await consume(other, 'x').send())).toEqual([
      'x 1 1*',
      'x 2 2*',
      'x 3 3*',
      'x 4 4',
    ]);
  });
});

describe('a get', () => {
  it('tells how many are left, and of nothing', async () => {
    const [, client] = await withMessages('1', '2');
    for (let i = 0; i < 3; i += 1) client.add(1, 'basic.get', { queue: 'q' });
    expect(lines(await client.send())).toEqual([
      "1 basic.get-ok 1 false '' 'q' 1 1",
      "1 basic.get-ok 2 false '' 'q' 0 2",
      '1 basic.get-empty',
    ]);
  });

  it('without acknowledgement takes the message', async () => {
    const [world, client] = await withMessages('1');
    client.add(1, 'basic.get', { queue: 'q', noAck: true });
    expect(lines(await client.call(1, 'basic.get', { queue: 'q' }))).toEqual([
      "1 basic.get-ok 1 false '' 'q' 0 1",
      '1 basic.get-empty',
    ]);
    expect(world.queues.queueOf('q').leased).toEqual([]);
  });

  it('of several queues in turn is settled where it came from', async () => {
    const [world, client] = await withMessages('1');
    client.add(1, 'queue.declare', { queue: 'r' }).addPublish(1, '', 'r', '2');
    client.add(1, 'basic.get', { queue: 'q' }).add(1, 'basic.get', { queue: 'r' });
    client.add(1, 'basic.get', { queue: 'q', noAck: true });
    await client.send();
    client.add(1, 'basic.nack', { deliveryTag: 1, requeue: true });
    await client.call(1, 'basic.ack', { deliveryTag: 2 });
    expect(world.queues.queueOf('q').bodies()).toEqual(['1']);
    expect(world.queues.queueOf('r').bodies('gone')).toEqual(['2']);
  });
});

describe('a client that does not read', () => {
  it('gets no more messages until it reads, and what it says still counts', async () => {
    const world = new AmqpWorld({ unsentBytesMax: 20_000 });
    const publisher = await world.connect();
    await publisher.call(1, 'queue.declare', { queue: 'q' });
    const client = await world.connect();
    await consume(client, 't').send();
    client.socket.isStuck = true;
    const body = 'x'.repeat(8_000);
    for (let i = 0; i < 3; i += 1) await publisher.addPublish(1, '', 'q', body).send();
    expect(deliveries(await client.said())).toHaveLength(3);
    expect(client.socket.isPaused).toBe(false);
    expect(lines(await qos(client, 0).send())).toEqual(['1 basic.qos-ok']);
    for (let i = 0; i < 5; i += 1) await publisher.addPublish(1, '', 'q', body).send();
    expect(deliveries(await client.said())).toEqual([]);
    expect(world.queues.queueOf('q').ready).toHaveLength(5);
    client.socket.isStuck = false;
    client.socket.drain();
    expect(deliveries(await client.said())).toHaveLength(5);
  });

  it('is not read from when the answers to what it says are too many', async () => {
    const world = new AmqpWorld({ unsentBytesMax: 100, unansweredBytesMax: 1_000 });
    const client = await world.connect();
    client.socket.isStuck = true;
    for (let i = 0; i < 200; i += 1) qos(client, 1);
    await client.send();
    expect(client.socket.isPaused).toBe(true);
    client.socket.isStuck = false;
    client.socket.drain();
    await world.settle();
    expect(client.socket.isPaused).toBe(false);
  });
});

describe('a mistake of ours', () => {
  it('ends its connection and no other', async () => {
    const [world, client] = await withMessages('1');
    const other = await world.connect();
    world.queues.routes.exchangeAt = () => {
      throw new Error('boom');
    };
    const said = lines(await client.addPublish(1, '', 'q', 'm').send());
    expect(said).toEqual([
      "0 connection.close 541 'INTERNAL_ERROR - the broker met a mistake of its own' 0 0",
    ]);
    expect(world.env.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(lines(await qos(other, 1).send())).toEqual(['1 basic.qos-ok']);
  });
});
