import { describe, expect, it } from 'vitest';
import type { FieldTable } from '../../../../src/protocols/amqp/codec/index.ts';
import { AmqpWorld, type Client, lines } from '../fixture.ts';

const CLOSE = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 };
const MANDATORY = 1;
const longstr = (value: string) => ({ type: 'longstr' as const, value });

async function withQueue(name = 'q', channels = 1): Promise<[AmqpWorld, Client]> {
  const world = new AmqpWorld();
  const client = await world.connect(channels);
  await client.call(1, 'queue.declare', { queue: name });
  return [world, client];
}

describe('commands', () => {
  it('are answered in their order, however many come at once', async () => {
    const client = await new AmqpWorld().connect();
    client
      .add(1, 'queue.declare', { queue: 'a' })
      .add(1, 'exchange.declare', { exchange: 'x', type: 'fanout' });
    client.add(1, 'queue.bind', { queue: 'a', exchange: 'x', routingKey: '' });
    client.addPublish(1, 'x', '', 'one').addPublish(1, 'x', '', 'two');
    client.add(1, 'queue.declare', { queue: 'b' }).add(1, 'basic.get', { queue: 'a', noAck: true });
    client.add(1, 'queue.declare', { queue: 'a', passive: true });
    client.add(1, 'basic.consume', { queue: 'a', consumerTag: 't', noAck: true });
    client.add(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 5 });
    expect(lines(await client.send())).toEqual([
      "1 queue.declare-ok 'a' 0 0",
      '1 exchange.declare-ok',
      '1 queue.bind-ok',
      "1 queue.declare-ok 'b' 0 0",
      "1 basic.get-ok 1 false 'x' '' 1 one",
      "1 queue.declare-ok 'a' 1 0",
      "1 basic.consume-ok 't'",
      '1 basic.qos-ok',
      "1 basic.deliver 't' 2 false 'x' '' two",
    ]);
  });

  it('wait for the one before on their channel, and for no other channel', async () => {
    const world = new AmqpWorld();
    const client = await world.connect(2);
    world.holdsChanges = true;
    client.add(1, 'queue.declare', { queue: 'slow' }).addPublish(1, '', 'slow', 'kept');
    client.add(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 1 });
    client.add(2, 'basic.qos', { prefetchSize: 0, prefetchCount: 1 });
    expect(lines(await client.send())).toEqual(['2 basic.qos-ok']);
    world.settleChanges();
    expect(lines(await client.said())).toEqual(["1 queue.declare-ok 'slow' 0 0", '1 basic.qos-ok']);
    expect(world.queues.queueOf('slow').bodies()).toEqual(['kept']);
  });

  it('that wait are bounded: then nothing is read', async () => {
    const world = new AmqpWorld({ deferredBytesMax: 10_000 });
    const client = await world.connect();
    world.holdsChanges = true;
    client.add(1, 'queue.declare', { queue: 'slow' });
    for (let i = 0; i < 4; i += 1) client.addPublish(1, '', 'slow', 'x'.repeat(2_000));
    await client.send();
    expect(client.socket.isPaused).toBe(false);
    await client.addPublish(1, '', 'slow', 'x'.repeat(2_000)).send();
    expect(client.socket.isPaused).toBe(true);
    world.settleChanges();
    await world.settle();
    expect(client.socket.isPaused).toBe(false);
    expect(world.queues.queueOf('slow').ready).toHaveLength(5);
    expect(world.listener.counters.heldBytes).toBe(0);
  });

  it('behind a mistake are not done', async () => {
    const [world, client] = await withQueue();
    client
      .addPublish(1, '', 'q', 'before')
      .add(1, 'queue.declare', { queue: 'none', passive: true });
    client.addPublish(1, '', 'q', 'behind').add(1, 'queue.declare', { queue: 'never' });
    expect(lines(await client.send())).toHaveLength(1);
    expect(world.queues.queueOf('q').bodies()).toEqual(['before']);
    expect(world.replica.view.destination('never')).toBeUndefined();
  });

  it('a close of the connection waits for what came before', async () => {
    const world = new AmqpWorld();
    const client = await world.connect(2);
    world.holdsChanges = true;
    client.add(1, 'queue.declare', { queue: 'q' }).addPublish(1, '', 'q', 'm');
    client.add(0, 'connection.close', CLOSE);
    expect(lines(await client.send())).toEqual([]);
    world.settleChanges();
    expect(lines(await client.said())).toEqual([
      "1 queue.declare-ok 'q' 0 0",
      '0 connection.close-ok',
    ]);
    expect(world.queues.queueOf('q').bodies()).toEqual(['m']);
  });

  it('a close of the connection is answered though a channel fails before', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    world.holdsChanges = true;
    client.add(1, 'queue.declare', { queue: 'q' }).add(1, 'queue.purge', { queue: 'none' });
    client.add(0, 'connection.close', CLOSE);
    await client.send();
    world.settleChanges();
    expect(lines(await client.said()).at(-1)).toBe('0 connection.close-ok');
  });

  it('have no answer where the client wants none', async () => {
    const client = await new AmqpWorld().connect();
    client.add(1, 'queue.declare', { queue: 'a', noWait: true });
    client.add(1, 'exchange.declare', { exchange: 'x', type: 'topic', noWait: true });
    client.add(1, 'exchange.bind', {
      destination: 'x',
      source: 'amq.topic',
      routingKey: '#',
      noWait: true,
    });
    client.add(1, 'exchange.unbind', {
      destination: 'x',
      source: 'amq.topic',
      routingKey: '#',
      noWait: true,
    });
    client.add(1, 'queue.bind', { queue: 'a', exchange: 'x', routingKey: '#', noWait: true });
    client.add(1, 'basic.consume', { queue: 'a', consumerTag: 't', noWait: true });
    client.addPublish(1, 'x', 'k', 'm').add(1, 'basic.cancel', { consumerTag: 't', noWait: true });
    client
      .add(1, 'queue.purge', { queue: 'a', noWait: true })
      .add(1, 'confirm.select', { noWait: true });
    client.add(1, 'exchange.delete', { exchange: 'x', noWait: true });
    client.add(1, 'queue.delete', { queue: 'a', noWait: true });
    expect(lines(await client.send())).toEqual([]);
    expect(lines(await client.call(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 0 }))).toEqual(
      ['1 basic.qos-ok'],
    );
  });
});

describe('a channel', () => {
  it('closes, and its number is free at once', async () => {
    const client = await new AmqpWorld().connect();
    for (let i = 0; i < 1_000; i += 1)
      client.add(1, 'channel.close', CLOSE).add(1, 'channel.open', {});
    const said = lines(await client.send());
    expect(said).toHaveLength(2_000);
    expect(said.slice(-2)).toEqual(['1 channel.close-ok', '1 channel.open-ok']);
  });

  it('that failed is free when the client has said so, and hears nothing before', async () => {
    const [world, client] = await withQueue('q', 2);
    client.add(1, 'queue.purge', { queue: 'none' });
    await client.send();
    client.add(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 0 }).add(1, 'channel.open', {});
    client
      .addPublish(1, '', 'q', 'ignored')
      .add(2, 'basic.qos', { prefetchSize: 0, prefetchCount: 0 });
    expect(lines(await client.send())).toEqual(['2 basic.qos-ok']);
    // Both sides close at once: the client's close is answered, and its close-ok is still to come.
    expect(lines(await client.call(1, 'channel.close', CLOSE))).toEqual(['1 channel.close-ok']);
    client.add(1, 'channel.close-ok', {}).add(1, 'channel.open', {});
    expect(lines(await client.send())).toEqual(['1 channel.open-ok']);
    expect(world.queues.queueOf('q').messages).toEqual([]);
  });

  it('knows the last queue that it declared', async () => {
    const [world, client] = await withQueue('first', 2);
    client.add(1, 'queue.bind', { queue: '', exchange: 'amq.direct', routingKey: '' });
    client.add(2, 'queue.declare', { queue: '' }).addPublish(1, 'amq.direct', 'first', 'm');
    client.add(1, 'basic.get', { queue: '' });
    const said = lines(await client.send());
    expect(said.filter((line) => line.startsWith('1'))).toEqual([
      '1 queue.bind-ok',
      "1 basic.get-ok 1 false 'amq.direct' 'first' 0 m",
    ]);
    const named = said.find((line) => line.startsWith('2'));
    expect(named).toMatch(/^2 queue\.declare-ok 'amq\.gen-[\w-]{22}' 0 0$/);
    expect(world.replica.view.destinations()).toHaveLength(2);
  });
});

describe('queues', () => {
  it('exclusive ones are gone before the close is answered', async () => {
    const world = new AmqpWorld();
    const owner = await world.connect();
    await owner.call(1, 'queue.declare', { queue: 'mine', exclusive: true });
    owner.add(0, 'connection.close', CLOSE);
    expect(lines(await owner.send())).toEqual(['0 connection.close-ok']);
    expect(world.replica.view.destination('mine')).toBeUndefined();
  });

  it('exclusive ones go when the connection is cut, however long nobody can say so', async () => {
    const world = new AmqpWorld();
    const owner = await world.connect();
    await owner.call(1, 'queue.declare', { queue: 'mine', exclusive: true });
    const none = { index: 0, code: '', message: '', difference: undefined };
    world.metadataAnswer = { kind: 'unavailable', ...none };
    await owner.cut();
    await world.pass(30_000);
    expect(world.replica.view.destination('mine')).toBeDefined();
    world.metadataAnswer = undefined;
    await world.pass(2_000);
    expect(world.replica.view.destination('mine')).toBeUndefined();
    expect(world.system.actorTree().filter(({ path }) => path.includes('amqp'))).toEqual([]);
  });

  it('auto-delete ones go with their last consumer, and not before they had one', async () => {
    const world = new AmqpWorld();
    const client = await world.connect(2);
    const isThere = () => world.replica.view.destination('q') !== undefined;
    client.add(1, 'queue.declare', { queue: 'q', autoDelete: true });
    client.add(1, 'basic.consume', { queue: 'q', consumerTag: 'a' });
    client.add(2, 'basic.consume', { queue: 'q', consumerTag: 'b' });
    await client.send();
    expect(lines(await client.call(1, 'basic.cancel', { consumerTag: 'a' }))).toEqual([
      "1 basic.cancel-ok 'a'",
    ]);
    expect(isThere()).toBe(true);
    expect(lines(await client.call(2, 'channel.close', CLOSE))).toEqual(['2 channel.close-ok']);
    expect(isThere()).toBe(false);
  });

  it('auto-delete ones go when their consumer is cut', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    client.add(1, 'queue.declare', { queue: 'q', autoDelete: true });
    client.add(1, 'basic.consume', { queue: 'q', consumerTag: 'a' });
    await client.send();
    await client.cut();
    await world.pass(100);
    expect(world.replica.view.destination('q')).toBeUndefined();
  });

  it('are counted, purged and deleted', async () => {
    const [world, client] = await withQueue();
    for (const body of ['a', 'b', 'c']) client.addPublish(1, '', 'q', body);
    client.add(1, 'basic.get', { queue: 'q' });
    await client.send();
    client.add(1, 'queue.declare', { queue: 'q' }).add(1, 'queue.purge', { queue: 'q' });
    client.addPublish(1, '', 'q', 'd').add(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 0 });
    expect(lines(await client.send())).toEqual([
      "1 queue.declare-ok 'q' 2 0",
      '1 queue.purge-ok 2',
      '1 basic.qos-ok',
    ]);
    expect(lines(await client.call(1, 'queue.delete', { queue: 'q' }))).toEqual([
      '1 queue.delete-ok 1',
    ]);
    expect(world.replica.view.destination('q')).toBeUndefined();
  });

  it('of headers exchanges get what their bindings want', async () => {
    const [world, client] = await withQueue();
    const table: FieldTable = [
      { name: 'x-match', value: longstr('all') },
      { name: 'n', value: { type: 'byte', value: 7 } },
      { name: 'kind', value: longstr('order') },
      { name: 'seen', value: { type: 'void' } },
    ];
    client.add(1, 'queue.bind', {
      queue: 'q',
      exchange: 'amq.headers',
      routingKey: '',
      arguments: table,
    });
    const headers = (n: number): FieldTable => [
      { name: 'kind', value: longstr('order') },
      { name: 'seen', value: { type: 'bool', value: false } },
      { name: 'n', value: { type: 'long', value: n } },
    ];
    client.addPublish(1, 'amq.headers', 'k', 'yes', { headers: headers(7) });
    client.addPublish(1, 'amq.headers', 'k', 'no', { headers: headers(8) });
    client.addPublish(1, 'amq.headers', 'k', 'none');
    await client.send();
    expect(world.queues.queueOf('q').bodies()).toEqual(['yes']);
    // The same arguments in another order are the same binding.
    const unbind = {
      queue: 'q',
      exchange: 'amq.headers',
      routingKey: '',
      arguments: [...table].reverse(),
    };
    await client.call(1, 'queue.unbind', unbind);
    expect(world.replica.view.bindingsFrom('amq.headers')).toEqual([]);
  });
});

describe('publishes', () => {
  it('that reach nobody come back before they are confirmed', async () => {
    const [, client] = await withQueue();
    await client.call(1, 'confirm.select', {});
    client.addPublish(1, 'amq.direct', 'nobody', 'lost', { messageId: 'm-1' }, MANDATORY);
    client
      .addPublish(1, '', 'q', 'stored', {}, MANDATORY)
      .addPublish(1, 'amq.direct', 'nobody', 'dropped');
    const said = await client.send();
    expect(lines(said)).toEqual([
      "1 basic.return 312 'NO_ROUTE' 'amq.direct' 'nobody' lost",
      '1 ack 3 multiple',
    ]);
    expect(said[0]).toMatchObject({ properties: { messageId: 'm-1' } });
  });

  it('that reach nobody come back without confirms too', async () => {
    const client = await new AmqpWorld().connect();
    client.addPublish(1, '', 'nobody', 'lost', {}, MANDATORY);
    expect(lines(await client.send())).toEqual(["1 basic.return 312 'NO_ROUTE' '' 'nobody' lost"]);
  });

  it('are numbered from confirm.select on and confirmed together', async () => {
    const [world, client] = await withQueue();
    client.addPublish(1, '', 'q', 'before').add(1, 'confirm.select', {});
    await client.send();
    world.queues.holdsPublishes = true;
    for (let i = 0; i < 50; i += 1) client.addPublish(1, '', 'q', `m${i}`);
    expect(lines(await client.send())).toEqual([]);
    const writes = client.socket.writes;
    world.queues.settlePublishes();
    world.system.turn.request();
    expect(lines(await client.said())).toEqual(['1 ack 50 multiple']);
    expect(client.socket.writes).toBe(writes + 1);
  });

  it('wait for as much as they ask: one that is said to be transient for its leader alone', async () => {
    const [world, client] = await withQueue();
    client.addPublish(1, '', 'q', 'm', { deliveryMode: 1 }).add(1, 'confirm.select', {});
    for (const properties of [{ deliveryMode: 1 }, { deliveryMode: 2 }, {}, { deliveryMode: 1 }]) {
      client.addPublish(1, '', 'q', 'm', properties);
    }
    await client.send();
    expect(world.queues.levels).toEqual(['none', 'accepted', 'stored', 'stored', 'accepted']);
  });

  it.each(['refused', 'unknown'] as const)(
    'are refused where the outcome is %s',
    async (outcome) => {
      const [world, client] = await withQueue();
      await client.call(1, 'confirm.select', {});
      world.queues.outcome = outcome;
      expect(lines(await client.addPublish(1, '', 'q', 'm').send())).toEqual(['1 nack 1']);
    },
  );

  it('know what was confirmed before their channel failed', async () => {
    const [world, client] = await withQueue();
    await client.call(1, 'confirm.select', {});
    world.queues.holdsPublishes = true;
    await client.addPublish(1, '', 'q', 'm').send();
    world.queues.settlePublishes();
    client.add(1, 'queue.purge', { queue: 'none' });
    expect(lines(await client.send()).map((line) => line.slice(0, 15))).toEqual([
      '1 ack 1',
      '1 channel.close',
    ]);
  });

  it('of many channels stop the reading of their connection while one has no room', async () => {
    const world = new AmqpWorld();
    const client = await world.connect(2);
    client.addPublish(1, '', 'q', 'a').addPublish(2, '', 'q', 'b');
    await client.send();
    const [first, second] = [...world.queues.publishers].map(({ sink }) => sink);
    first.full();
    second.full();
    first.room();
    expect(client.socket.isPaused).toBe(true);
    second.room();
    expect(client.socket.isPaused).toBe(false);
    first.full();
    await client.call(1, 'channel.close', CLOSE);
    expect(client.socket.isPaused).toBe(false);
  });

  it('that wait for room on a disk block their connection, and the client is told', async () => {
    const world = new AmqpWorld();
    for (const isTold of [true, false]) {
      const client = await world.connect(2, isTold ? { 'connection.blocked': true } : {});
      client.addPublish(1, '', 'q', 'a').addPublish(2, '', 'q', 'b');
      await client.send();
      const [first, second] = [...world.queues.publishers].slice(-2).map(({ sink }) => sink);
      first!.blocked();
      second!.blocked();
      const told = isTold ? ["0 connection.blocked 'low on disk'"] : [];
      expect(lines(await client.said())).toEqual(told);
      expect(client.socket.isPaused).toBe(true);
      first!.unblocked();
      expect(client.socket.isPaused).toBe(true);
      second!.unblocked();
      expect(lines(await client.said())).toEqual(isTold ? ['0 connection.unblocked'] : []);
      expect(client.socket.isPaused).toBe(false);
    }
  });

  it('go to the keys of CC and BCC, and nobody hears of BCC', async () => {
    const world = new AmqpWorld();
    const client = await world.connect();
    for (const queue of ['a', 'b', 'c']) client.add(1, 'queue.declare', { queue });
    await client.send();
    const keys = (...names: string[]) => ({ type: 'array' as const, value: names.map(longstr) });
    const headers: FieldTable = [
      { name: 'CC', value: keys('b') },
      { name: 'own', value: longstr('x') },
      { name: 'BCC', value: keys('c', 'a') },
    ];
    client.addPublish(1, '', 'a', 'm', { headers, contentType: 'text/plain' });
    for (const queue of ['a', 'b', 'c']) client.add(1, 'basic.get', { queue, noAck: true });
    const said = await client.send();
    expect(lines(said)).toEqual([
      "1 basic.get-ok 1 false '' 'a' 0 m",
      "1 basic.get-ok 2 false '' 'a' 0 m",
      "1 basic.get-ok 3 false '' 'a' 0 m",
    ]);
    const kept = headers.slice(0, 2);
    for (const entry of said) {
      expect(entry).toMatchObject({ properties: { headers: kept, contentType: 'text/plain' } });
    }
  });

  it('bodies are cut to the frame_max of whoever gets them', async () => {
    const [world, client] = await withQueue();
    const body = 'x'.repeat(10_000);
    await client.addPublish(1, '', 'q', body).send();
    const small = world.dial();
    await small.handshake({ frameMax: 4096 });
    small.add(1, 'channel.open', {});
    small.add(1, 'basic.get', { queue: 'q' });
    const writes = small.socket.writes;
    await world.settle();
    const said = await small.send();
    expect(said.at(-1)).toMatchObject({ op: 'content', body });
    expect(small.socket.writes).toBeGreaterThan(writes);
  });
});
