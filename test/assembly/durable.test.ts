// Durable actors of an application on the replicated logs of three nodes in this process: asked on every node,
// through the loss of leaders, made and removed, and refused where a node brings something else.
import { afterEach, describe, expect, test } from 'vitest';
import { durable } from '../../src/actors/durable/event-sourced.ts';
import { ask, protocol } from '../../src/actors/index.ts';
import type { ApiActors } from '../../src/admin/api-types.ts';
import type { ReplicatedActors } from '../../src/assembly/durable-actors.ts';
import type { RunningNode } from '../../src/assembly/node-config.ts';
import { array, none, record, u32, u53, utf8 } from '../../src/codec/index.ts';
import { type TestCluster, type TestClusterOptions, testCluster } from './support/cluster.ts';

const within = { timeoutMs: 20_000 };
const PATIENT = { timeout: 60_000 };

const Account = durable(
  protocol('account', 1, {
    deposit: ask(u32, u53),
    withdraw: ask(u32, u53),
    later: ask(record({ amount: u32, afterMs: u32 }), none),
    look: ask(none, record({ balance: u53, deposits: u32 })),
    big: ask(none, utf8),
  }),
  {
    events: { deposited: u32, withdrawn: u32 },
    state: record({ balance: u53, deposits: u32 }),
    initial: () => ({ balance: 0, deposits: 0 }),
    decide: {
      deposit: ({ balance }, amount) => ({
        events: [{ type: 'deposited', value: amount }],
        reply: balance + amount,
      }),
      withdraw({ balance }, amount) {
        if (amount > balance) throw Object.assign(new Error('too much'), { code: 'TOO_MUCH' });
        return { events: [{ type: 'withdrawn', value: amount }], reply: balance - amount };
      },
      later: (_state, { amount, afterMs }) => ({
        timers: [{ key: `${amount}`, afterMs, op: 'deposit', input: amount }],
        reply: undefined,
      }),
      look: (state) => ({ reply: state }),
      big: () => ({ reply: 'x'.repeat(1_000_000) }),
    },
    apply: {
      deposited: ({ balance, deposits }, amount) => ({
        balance: balance + amount,
        deposits: deposits + 1,
      }),
      withdrawn: ({ balance, deposits }, amount) => ({ balance: balance - amount, deposits }),
    },
  },
);
const Wider = durable(protocol('account', 1, { deposit: ask(u32, u53), close: ask(none, none) }), {
  events: { deposited: u32 },
  state: u53,
  initial: () => 0,
  decide: { deposit: () => ({ reply: 0 }), close: () => ({ reply: undefined }) },
  apply: { deposited: (balance, amount) => balance + amount },
});
const Tags = durable(protocol('tags', 1, { all: ask(none, array(utf8)) }), {
  events: {},
  state: array(utf8),
  initial: (): readonly string[] => [],
  decide: { all: (tags) => ({ reply: tags }) },
  apply: {},
});

const clusters: TestCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});

async function start(options: TestClusterOptions): Promise<TestCluster> {
  const cluster = await testCluster(options);
  clusters.push(cluster);
  await cluster.ready();
  return cluster;
}

const kinds = { parts: { kinds: [Account] } };

function actorsOf(cluster: TestCluster, id: number): ReplicatedActors {
  return (cluster.nodes.get(id) as RunningNode & { durable: ReplicatedActors }).durable;
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('a replicated account', PATIENT, () => {
  test('answers on every node, is one on all, and ends for all', async () => {
    const cluster = await start(kinds);
    const refs = await Promise.all(
      [1, 2, 3].map((id) => actorsOf(cluster, id).create(Account, 'ada')),
    );
    const balances = await Promise.all(refs.map((ada) => ada.ask('deposit', 10, within)));
    expect(balances.sort((a, b) => a - b)).toEqual([10, 20, 30]);
    await expect(refs[0]!.ask('withdraw', 31, within)).rejects.toMatchObject({ code: 'TOO_MUCH' });
    expect(await refs[1]!.ask('withdraw', 5, within)).toBe(25);
    expect(await refs[2]!.ask('big', undefined, within)).toHaveLength(1_000_000);
    await refs[2]!.ask('later', { amount: 7, afterMs: 30 }, within);
    await until(async () => (await refs[0]!.ask('look', undefined, within)).balance === 32);
    expect(actorsOf(cluster, 3).names(Account)).toEqual(['ada']);
    await actorsOf(cluster, 2).remove(Account, 'ada');
    await actorsOf(cluster, 2).remove(Account, 'ada');
    await until(() => actorsOf(cluster, 1).names(Account).length === 0);
    const gone = refs[0]!.ask('look', undefined, within);
    // It may have been about to end when it was asked.
    const code = expect.stringMatching(/^ACTOR_(GONE|STOPPED)$/);
    await expect(gone).rejects.toMatchObject({ code });
    const none = actorsOf(cluster, 1).ref(Account, 'ada').ask('look', undefined, within);
    await expect(none).rejects.toMatchObject({ code: 'DURABLE_NO_ACTOR' });
    const again = await actorsOf(cluster, 1).create(Account, 'ada');
    expect(await again.ask('look', undefined, within)).toEqual({ balance: 0, deposits: 0 });
  });

  test('keeps the order of a client, and counts every answer once, while its leaders stop', async () => {
    const cluster = await start(kinds);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const clients = actorsOf(cluster, 3);
    for (const name of names) await clients.create(Account, name);
    const run = async (name: string): Promise<void> => {
      const ref = clients.ref(Account, name);
      for (let round = 0; round < 30; round += 1) {
        const asks = Array.from({ length: 10 }, () => ref.ask('deposit', 1, within));
        const first = 10 * round + 1;
        // In order, and none twice: whatever becomes of leaders meanwhile.
        expect(await Promise.all(asks)).toEqual(asks.map((_, i) => first + i));
      }
    };
    const running = Promise.all(names.map(run));
    await cluster.stopNode(1);
    await running;
    for (const name of names) {
      const state = await clients.ref(Account, name).ask('look', undefined, within);
      expect(state).toEqual({ balance: 300, deposits: 300 });
    }
  });

  test('may have any printable name', async () => {
    const cluster = await start({ ...kinds, nodes: 1 });
    for (const name of ['a/b', '..a', 'ünï cödé', '%2F', 'x'.repeat(255)]) {
      const ref = await actorsOf(cluster, 1).create(Account, name);
      expect(await ref.ask('deposit', 1, within)).toBe(1);
    }
    const refused = actorsOf(cluster, 1).create(Account, 'a\nb');
    await expect(refused).rejects.toMatchObject({ code: 'DURABLE_REFUSED' });
  });

  test('says when nobody can take a command, and that it is unknown only if it is', async () => {
    const cluster = await start(kinds);
    const here = actorsOf(cluster, 1);
    const refused = here.create(Account, 'x', { replicationFactor: 4 });
    await expect(refused).rejects.toMatchObject({ code: 'DURABLE_REFUSED' });
    await expect(refused).rejects.toThrow(
      '4 replicas of app.account version 1, 3 live nodes bring it',
    );
    const strict = await here.create(Account, 'strict', { replicationFactor: 3, minInsync: 3 });
    expect(await strict.ask('deposit', 1, within)).toBe(1);
    const other = here.create(Account, 'strict', { replicationFactor: 2 });
    await expect(other).rejects.toThrow('replicationFactor is "3", not "2"');
    expect(() => here.ref(Tags, 't')).toThrow('app.tags is not among the kinds of this node');
    const large = strict.ask('deposit', -1, within);
    await expect(large).rejects.toThrow();
    expect(await strict.ask('deposit', 1, within)).toBe(2);
  });
});

test(
  'an actor that is gone, or was refused, leaves nothing behind on any node',
  PATIENT,
  async () => {
    const cluster = await start(kinds);
    const fronts = async (id: number): Promise<number> => {
      const { host, httpPort } = cluster.addresses[id - 1]!;
      const answer = await fetch(`http://${host}:${httpPort}/api/actors?sampleMs=0`);
      const { threads } = (await answer.json()) as ApiActors;
      const tree = threads.filter(({ node }) => node === id).flatMap(({ actors }) => actors);
      return tree.filter(({ name }) => name.startsWith('durable:app.account:')).length;
    };
    for (let i = 0; i < 10; i += 1) {
      const ref = await actorsOf(cluster, 1).create(Account, `a${i}`);
      await ref.ask('deposit', 1, within);
      await until(() => actorsOf(cluster, 2).names(Account).length > 0);
      await actorsOf(cluster, 2).ref(Account, `a${i}`).ask('deposit', 1, within);
      const refused = actorsOf(cluster, 1).create(Account, `b${i}`, { replicationFactor: 9 });
      await expect(refused).rejects.toMatchObject({ code: 'DURABLE_REFUSED' });
      expect([await fronts(1), await fronts(2)]).toEqual([1, 1]);
      await actorsOf(cluster, 1).remove(Account, `a${i}`);
      expect(await fronts(1)).toBe(0);
      await until(async () => (await fronts(2)) === 0);
    }
    const odd = actorsOf(cluster, 1).create(Account, 'a\ud800');
    await expect(odd).rejects.toMatchObject({ code: 'ACTOR_MISUSE' });
  },
);

describe('nodes that bring different kinds', PATIENT, () => {
  test('have replicas only of what they bring', async () => {
    const cluster = await start({
      partsOf: (id) => ({ kinds: id === 2 ? [Tags] : [Account, Tags] }),
    });
    const here = actorsOf(cluster, 1);
    const ada = await here.create(Account, 'ada');
    expect(await ada.ask('deposit', 3, within)).toBe(3);
    const three = here.create(Account, 'eve', { replicationFactor: 3 });
    await expect(three).rejects.toThrow('2 live nodes bring it; nodes 2 do not bring it');
    const tags = await actorsOf(cluster, 2).create(Tags, 't', { replicationFactor: 3 });
    expect(await tags.ask('all', undefined, within)).toEqual([]);
  });

  test('under one name are told, and the odd one does not join', async () => {
    const cluster = await testCluster({
      partsOf: (id) => ({ kinds: [id === 3 ? Wider : Account] }),
    });
    clusters.push(cluster);
    await cluster.told((event) => event.event === 'failed');
    const failed = cluster.events.find(({ event }) => event.event === 'failed');
    expect(failed?.event).toMatchObject({
      message: expect.stringMatching(
        /node \d brings app.account version 1 \([0-9a-f]{8}\), node \d app.account version 1 \(/,
      ),
    });
  });
});
