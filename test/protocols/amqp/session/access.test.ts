// Who is let in, and RabbitMQ's table of what each method needs: a cell is one right that one method is refused without.
import { describe, expect, it } from 'vitest';
import { encodeCommand, type MetadataCommand } from '../../../../src/cluster/metadata/index.ts';
import { PROTOCOL_HEADER, tableOf } from '../../../../src/protocols/amqp/codec/index.ts';
import { encodeUtf8 } from '../../../../src/std/bytes.ts';
import { passwordHash } from '../../../../src/std/password-hash.ts';
import { AmqpWorld, CAPABLE, type Client, lines } from '../fixture.ts';

interface Patterns {
  readonly configure?: string;
  readonly write?: string;
  readonly read?: string;
}

function change(world: AmqpWorld, command: MetadataCommand): void {
  expect(world.apply(encodeCommand(command)).kind).toBe('done');
}

function putUser(world: AmqpWorld, name: string, password: string): void {
  const hash = passwordHash(new Uint8Array([9, 8, 7, 6]), password);
  change(world, { kind: 'put-user', name, passwordHash: hash, tags: [] });
}

/** What is not named is refused. */
function grant(world: AmqpWorld, patterns: Patterns, vhost = '/', user = 'u'): void {
  const none = { configure: '', write: '', read: '' };
  change(world, { kind: 'put-permission', user, vhost, ...none, ...patterns });
}

async function login(
  world: AmqpWorld,
  user: string,
  password: string,
  { host = '127.0.0.1', vhost = '/', capabilities = CAPABLE, mechanism = 'PLAIN' } = {},
): Promise<{ client: Client; said: string[] }> {
  const client = world.dial(host);
  client.raw(PROTOCOL_HEADER);
  await client.said();
  client.add(0, 'connection.start-ok', {
    clientProperties: tableOf({ capabilities }),
    mechanism,
    response: encodeUtf8(`\0${user}\0${password}`),
    locale: 'en_US',
  });
  client.add(0, 'connection.tune-ok', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
  const said = await client.add(0, 'connection.open', { virtualHost: vhost }).send();
  return { client, said: lines(said) };
}

async function opened(world: AmqpWorld, vhost = '/', user = 'u'): Promise<Client> {
  const { client, said } = await login(world, user, 'secret', { vhost });
  expect(said.at(-1)).toMatch(/^0 connection.open-ok/);
  expect(lines(await client.call(1, 'channel.open', {}))).toHaveLength(1);
  return client;
}

const REFUSED =
  "0 connection.close 403 'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. " +
  "For details see the broker logfile.' 0 0";

describe('a login', () => {
  it('is good with the password that is kept, from anywhere, and for guest from this machine', async () => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    grant(world, {});
    const { said } = await login(world, 'u', 'secret', { host: '192.0.2.1' });
    expect(said.at(-1)).toMatch(/^0 connection.open-ok/);
    const guest = await login(world, 'guest', 'guest', { host: '192.0.2.1' });
    expect(guest.said).toEqual([REFUSED]);
  });

  it.each([
    ['another password', 'u', 'Secret'],
    ['nothing', 'u', ''],
    ['an unknown user', 'x', 'secret'],
    ['a user without a password', 'mute', ''],
  ])('with %s is refused', async (_, user, password) => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    change(world, { kind: 'put-user', name: 'mute', passwordHash: undefined, tags: [] });
    const { said } = await login(world, user, password);
    expect(said).toEqual([REFUSED]);
  });

  it('that fails is silence for 3 s to who does not hear refusals', async () => {
    const world = new AmqpWorld();
    const { client, said } = await login(world, 'guest', 'x', {
      capabilities: { ...CAPABLE, authentication_failure_close: false },
    });
    expect(said).toEqual([]);
    await world.pass(2_900);
    expect(await client.closed()).toBe(false);
    await world.pass(200);
    expect(await client.closed()).toBe(true);
  });

  it('follows the password when it changes, and ends with guest', async () => {
    const world = new AmqpWorld();
    putUser(world, 'guest', 'other');
    expect((await login(world, 'guest', 'guest')).said).toEqual([REFUSED]);
    expect((await login(world, 'guest', 'other')).said.at(-1)).toMatch(/open-ok/);
    change(world, { kind: 'delete-user', name: 'guest' });
    expect((await login(world, 'guest', 'other')).said).toEqual([REFUSED]);
  });

  it('is not looked at where too many failed, until time has passed', async () => {
    const world = new AmqpWorld({ failedLoginsMax: 3, failedLoginEveryMs: 1_000 });
    for (let i = 0; i < 3; i += 1) await login(world, 'guest', 'x');
    expect((await login(world, 'guest', 'guest')).said).toEqual([REFUSED]);
    putUser(world, 'u', 'secret');
    grant(world, {});
    const other = await login(world, 'u', 'secret', { host: '192.0.2.1' });
    expect(other.said.at(-1)).toMatch(/open-ok/);
    await world.pass(1_000);
    expect((await login(world, 'guest', 'guest')).said.at(-1)).toMatch(/open-ok/);
  });

  it('is put off while this node may have missed who is let in', async () => {
    const world = new AmqpWorld();
    const again = { node: 1, shard: 0, shardIncarnation: 77 };
    Object.assign(world.listener.place, again);
    const { said } = await login(world, 'guest', 'guest');
    expect(said).toEqual([
      "0 connection.close 320 'CONNECTION_FORCED - not in the cluster yet' 0 0",
    ]);
  });
});

describe('a vhost', () => {
  it('that is not there, or not the user’s, is not opened', async () => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    change(world, { kind: 'put-vhost', name: 'v' });
    const missing = await login(world, 'u', 'secret', { vhost: 'x' });
    expect(missing.said.at(-1)).toBe(
      "0 connection.close 530 'NOT_ALLOWED - vhost x not found' 10 40",
    );
    const closed = await login(world, 'u', 'secret', { vhost: 'v' });
    expect(closed.said.at(-1)).toBe(
      "0 connection.close 530 'NOT_ALLOWED - access to vhost 'v' refused for user 'u'' 10 40",
    );
  });

  it('has queues, exchanges and messages of its own', async () => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    change(world, { kind: 'put-vhost', name: 'v' });
    const all = { configure: '.*', write: '.*', read: '.*' };
    grant(world, all, 'v');
    grant(world, all);
    const here = await opened(world);
    const there = await opened(world, 'v');
    for (const client of [here, there]) {
      await client.call(1, 'queue.declare', { queue: 'q' });
      await client.call(1, 'exchange.declare', { exchange: 'e', type: 'fanout' });
      await client.call(1, 'queue.bind', { queue: 'q', exchange: 'e', routingKey: '' });
    }
    there.addPublish(1, '', 'q', 'by name');
    there.addPublish(1, 'e', '', 'by binding');
    await there.send();
    const count = async (client: Client): Promise<string | undefined> =>
      lines(await client.call(1, 'queue.declare', { queue: 'q', passive: true })).at(-1);
    expect(await count(there)).toBe("1 queue.declare-ok 'q' 2 0");
    expect(await count(here)).toBe("1 queue.declare-ok 'q' 0 0");
    const got = lines(await there.call(1, 'basic.get', { queue: 'q' })).at(-1);
    expect(got).toMatch(/^1 basic.get-ok .* by name$/);
    expect(lines(await there.call(1, 'queue.delete', { queue: 'q' }))).toHaveLength(1);
    expect(await count(here)).toBe("1 queue.declare-ok 'q' 0 0");
    expect(await count(there)).toContain("404 'NOT_FOUND - no queue 'q' in vhost 'v'' 50 10");
  });

  it('that is deleted takes its connections along, and a user that is', async () => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    change(world, { kind: 'put-vhost', name: 'v' });
    grant(world, {}, 'v');
    grant(world, {});
    const there = await opened(world, 'v');
    const here = await opened(world);
    change(world, { kind: 'delete-vhost', name: 'v' });
    expect(lines(await there.said())).toEqual([
      "0 connection.close 320 'CONNECTION_FORCED - vhost 'v' is deleted' 0 0",
    ]);
    expect(await here.said()).toEqual([]);
    change(world, { kind: 'delete-user', name: 'u' });
    expect(lines(await here.said())).toEqual([
      "0 connection.close 320 'CONNECTION_FORCED - user 'u' is deleted' 0 0",
    ]);
  });
});

// ---- The table ------------------------------------------------------------------------------------

type Step = (client: Client) => Client;

const ALTERNATE = tableOf({ 'alternate-exchange': 'other' });
const QUORUM = tableOf({ 'x-queue-type': 'quorum' });
const STREAM = tableOf({ 'x-queue-type': 'stream' });

/** A method, the rights that it needs on which names, and what a refusal of each names. */
const METHODS: readonly (readonly [
  string,
  Step,
  readonly (readonly [keyof Patterns, string])[],
])[] = [
  [
    'queue.declare',
    (c) => c.add(1, 'queue.declare', { queue: 'new' }),
    [['configure', "queue 'new'"]],
  ],
  [
    'queue.declare of what is there',
    (c) => c.add(1, 'queue.declare', { queue: 'q' }),
    [['configure', "queue 'q'"]],
  ],
  [
    'queue.declare of a quorum queue',
    (c) => c.add(1, 'queue.declare', { queue: 'new', durable: true, arguments: QUORUM }),
    [['configure', "queue 'new'"]],
  ],
  [
    'queue.declare of a stream',
    (c) => c.add(1, 'queue.declare', { queue: 'new', durable: true, arguments: STREAM }),
    [['configure', "queue 'new'"]],
  ],
  [
    'queue.bind',
    (c) => c.add(1, 'queue.bind', { queue: 'q', exchange: 'e', routingKey: 'k' }),
    [
      ['write', "queue 'q'"],
      ['read', "exchange 'e'"],
    ],
  ],
  [
    'queue.unbind',
    (c) => c.add(1, 'queue.unbind', { queue: 'q', exchange: 'e', routingKey: 'k' }),
    [
      ['write', "queue 'q'"],
      ['read', "exchange 'e'"],
    ],
  ],
  ['queue.purge', (c) => c.add(1, 'queue.purge', { queue: 'q' }), [['read', "queue 'q'"]]],
  ['queue.delete', (c) => c.add(1, 'queue.delete', { queue: 'q' }), [['configure', "queue 'q'"]]],
  ['basic.get', (c) => c.add(1, 'basic.get', { queue: 'q' }), [['read', "queue 'q'"]]],
  [
    'basic.consume',
    (c) => c.add(1, 'basic.consume', { queue: 'q', consumerTag: 't' }),
    [['read', "queue 'q'"]],
  ],
  [
    'exchange.declare',
    (c) => c.add(1, 'exchange.declare', { exchange: 'new', type: 'direct' }),
    [['configure', "exchange 'new'"]],
  ],
  [
    'exchange.declare with an alternate exchange',
    (c) => c.add(1, 'exchange.declare', { exchange: 'new', type: 'direct', arguments: ALTERNATE }),
    [
      ['configure', "exchange 'new'"],
      ['read', "exchange 'new'"],
      ['write', "exchange 'other'"],
    ],
  ],
  [
    'exchange.delete',
    (c) => c.add(1, 'exchange.delete', { exchange: 'e' }),
    [['configure', "exchange 'e'"]],
  ],
  [
    'exchange.bind',
    (c) => c.add(1, 'exchange.bind', { destination: 'f', source: 'e', routingKey: 'k' }),
    [
      ['write', "exchange 'f'"],
      ['read', "exchange 'e'"],
    ],
  ],
  [
    'exchange.unbind',
    (c) => c.add(1, 'exchange.unbind', { destination: 'f', source: 'e', routingKey: 'k' }),
    [
      ['write', "exchange 'f'"],
      ['read', "exchange 'e'"],
    ],
  ],
  ['basic.publish', (c) => c.addPublish(1, 'e', 'k', 'b'), [['write', "exchange 'e'"]]],
  [
    'basic.publish to the default exchange',
    (c) => c.addPublish(1, '', 'q', 'b'),
    [['write', "exchange 'amq.default'"]],
  ],
  [
    'basic.publish to what is not there',
    (c) => c.addPublish(1, 'none', 'q', 'b'),
    [['write', "exchange 'none'"]],
  ],
];

const nameIn = (what: string): string => what.slice(what.indexOf("'") + 1, -1);
const only = (what: string): string => `^${nameIn(what).replace('.', '\\.')}$`;

async function prepared(patterns: Patterns): Promise<Client> {
  const world = new AmqpWorld();
  const guest = await world.connect();
  await guest.call(1, 'queue.declare', { queue: 'q' });
  for (const exchange of ['e', 'f']) {
    await guest.call(1, 'exchange.declare', { exchange, type: 'direct' });
  }
  putUser(world, 'u', 'secret');
  grant(world, patterns);
  return opened(world);
}

/** Only what is needed, but for one of it. */
function rightsOf(
  needed: readonly (readonly [keyof Patterns, string])[],
  without?: number,
): Patterns {
  const patterns: Record<string, string> = {};
  for (const [at, [verb, what]] of needed.entries()) {
    if (at !== without) patterns[verb] = only(what);
  }
  return patterns;
}

describe.each(METHODS)('%s', (_, step, needed) => {
  it('is done with exactly the rights that it needs', async () => {
    const client = await prepared(rightsOf(needed));
    const said = lines(await step(client).send()).join('\n');
    expect(said).not.toContain('ACCESS_REFUSED');
  });

  it.each(needed.map(([verb, what], at) => [verb, what, at] as const))(
    'is refused without %s of %s',
    async (verb, what, at) => {
      const client = await prepared(rightsOf(needed, at));
      const said = lines(await step(client).send());
      expect(said).toHaveLength(1);
      const words = `ACCESS_REFUSED - ${verb} access to ${what} in vhost '/' refused for user 'u'`;
      expect(said[0]).toContain(`1 channel.close 403 '${words}'`);
    },
  );
});

describe('a passive declare', () => {
  it.each(['configure', 'write', 'read'])('is answered with %s', async (verb) => {
    const client = await prepared({ [verb]: '.' });
    const queue = await client.call(1, 'queue.declare', { queue: 'q', passive: true });
    expect(lines(queue)).toEqual(["1 queue.declare-ok 'q' 0 0"]);
    const exchange = { exchange: 'e', type: 'direct', passive: true };
    expect(lines(await client.call(1, 'exchange.declare', exchange))).toHaveLength(1);
  });

  it('without any right does not tell whether the queue is there', async () => {
    for (const queue of ['q', 'none']) {
      const client = await prepared({ read: '^x$' });
      const said = lines(await client.call(1, 'queue.declare', { queue, passive: true }));
      expect(said[0]).toContain(`403 'ACCESS_REFUSED - read access to queue '${queue}'`);
    }
  });
});

describe('rights that change', () => {
  const all = { configure: '.*', write: '.*', read: '.*' };

  it('count for the next method of a connection that is there', async () => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    grant(world, all);
    const client = await opened(world);
    await client.call(1, 'queue.declare', { queue: 'q' });
    client.addPublish(1, '', 'q', 'first');
    expect(await client.send()).toEqual([]);
    grant(world, { ...all, write: '' });
    const said = lines(await client.addPublish(1, '', 'q', 'second').send());
    expect(said[0]).toContain("403 'ACCESS_REFUSED - write access to exchange 'amq.default'");
    grant(world, all);
    await client.add(1, 'channel.close-ok', {}).call(1, 'channel.open', {});
    client.addPublish(1, '', 'q', 'third');
    expect(await client.send()).toEqual([]);
    const { ready } = world.queues.queueOf('q');
    expect(ready).toHaveLength(2);
  });

  it('end consumers that may not read any more, and only them', async () => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    grant(world, all);
    const client = await opened(world);
    for (const queue of ['q', 'r']) {
      await client.call(1, 'queue.declare', { queue });
      await client.call(1, 'basic.consume', { queue, consumerTag: `of-${queue}` });
    }
    client.addPublish(1, '', 'q', 'held');
    expect(lines(await client.send())).toEqual([expect.stringContaining('basic.deliver')]);
    grant(world, { ...all, read: '^r$' });
    expect(lines(await client.said())).toEqual(["1 basic.cancel 'of-q' true"]);
    client.addPublish(1, '', 'q', 'kept').addPublish(1, '', 'r', 'read');
    const said = lines(await client.send());
    expect(said).toEqual([expect.stringMatching(/basic.deliver 'of-r' .* read$/)]);
    const { ready } = world.queues.queueOf('q');
    expect(ready).toHaveLength(1);
  });

  it('try no pattern for a message', async () => {
    const world = new AmqpWorld();
    putUser(world, 'u', 'secret');
    grant(world, all);
    const client = await opened(world);
    let asked = 0;
    const { access } = world.replica.image;
    const allows = access.allows.bind(access);
    access.allows = (...of) => {
      asked += 1;
      return allows(...of);
    };
    for (let i = 0; i < 100; i += 1) client.addPublish(1, 'amq.direct', `k${i}`, 'b');
    await client.send();
    expect(asked).toBe(1);
  });
});
