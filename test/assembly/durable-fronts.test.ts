// The actors by which a node's application asks durable ones: they end with what they stand for.
import { describe, expect, test } from 'vitest';
import { durable } from '../../src/actors/durable/event-sourced.ts';
import { ask, protocol } from '../../src/actors/index.ts';
import { fixture } from '../../src/actors/testkit/index.ts';
import { DurableFronts } from '../../src/assembly/durable-fronts.ts';
import { kindOf } from '../../src/assembly/durable-kinds.ts';
import {
  encodeCommand,
  type MetadataCommand,
  snapshotImage,
} from '../../src/cluster/metadata/index.ts';
import { MetadataReplica } from '../../src/cluster/metadata-shell/metadata-replica.ts';
import { none, u32 } from '../../src/codec/index.ts';
import { registration, topicId } from '../cluster/metadata/world.ts';

const Counter = durable(protocol('counter', 1, { count: ask(none, u32) }), {
  events: {},
  state: u32,
  initial: () => 0,
  decide: { count: (state) => ({ reply: state }) },
  apply: {},
});
const kind = kindOf(Counter);

function start() {
  const f = fixture(1);
  const replica = new MetadataReplica(1);
  let index = 0;
  const apply = (command: MetadataCommand): void => {
    index += 1;
    expect(replica.apply(encodeCommand(command), index)).toBeUndefined();
  };
  const change = (...commands: MetadataCommand[]): void => {
    for (const command of commands) apply(command);
    replica.publish();
    f.stepUntilIdle();
  };
  const fronts = new DurableFronts(f.system, replica);
  change(
    { ...registration(1), kind: 'register-node-with-kinds', kinds: [kind] },
    { kind: 'unfence-node', node: 1, incarnation: 101 },
  );
  return {
    f,
    replica,
    change,
    ref: (name: string, send = () => Promise.resolve(7 as unknown)) => {
      const ref = fronts.ref(Counter, name, send);
      f.stepUntilIdle();
      return ref;
    },
    count: () => f.system.actorTree().filter(({ path }) => path.startsWith('/durable:')).length,
  };
}

let made = 0;
function create(name: string): MetadataCommand {
  made += 1;
  const counts = { replicationFactor: -1, minInsync: -1 };
  return { kind: 'create-actor', actor: kind, name, topicId: topicId(made), ...counts };
}
const remove = (name: string): MetadataCommand => {
  return { kind: 'delete-actor', actorKind: kind.name, name, logId: 0 };
};

describe('a front', () => {
  test('is one for each actor, and ends when its log is deleted', async () => {
    const { f, ref, change, count } = start();
    for (let round = 0; round < 50; round += 1) {
      const name = `a${round}`;
      // Before there is one, and behind.
      if (round % 2 === 0) ref(name);
      change(create(name));
      expect(await f.ask(ref(name), 'count', undefined)).toBe(7);
      expect(ref(name)).toBe(ref(name));
      expect(count()).toBe(1);
      change(remove(name));
      expect(count()).toBe(0);
    }
  });

  test('of an actor that is made again is another, also where both came at once', async () => {
    const { f, ref, change, count } = start();
    change(create('ada'));
    const first = ref('ada');
    change(remove('ada'), create('ada'));
    await expect(f.ask(first, 'count', undefined)).rejects.toMatchObject({ code: 'ACTOR_GONE' });
    const second = ref('ada');
    expect(second).not.toBe(first);
    expect(await f.ask(second, 'count', undefined)).toBe(7);
    expect(count()).toBe(1);
  });

  test('answers what it has taken before it ends, as it is answered', async () => {
    const { f, ref, change, count } = start();
    change(create('ada'));
    let reject = (_error: Error): void => undefined;
    const waiting = ref('ada', () => {
      return new Promise((_resolve, no) => {
        reject = no;
      });
    });
    const answer = waiting.ask('count', undefined, { timeoutMs: 1_000 });
    f.stepUntilIdle();
    change(remove('ada'), create('ada'));
    // The new one has the name meanwhile.
    expect(await f.ask(ref('ada'), 'count', undefined)).toBe(7);
    expect(count()).toBe(2);
    reject(Object.assign(new Error('the actor was removed'), { code: 'DURABLE_REMOVED' }));
    await f.env.settle();
    await expect(answer).rejects.toMatchObject({ code: 'DURABLE_REMOVED' });
    expect(count()).toBe(1);
  });

  test('ends also where all of the metadata was replaced', () => {
    const { f, ref, change, replica, count } = start();
    change(create('ada'), create('eve'));
    for (const name of ['ada', 'eve', 'nobody']) ref(name);
    const other = start();
    other.change(create('eve'), create('bob'), create('ada'), remove('ada'));
    replica.restore(snapshotImage(other.replica.image));
    replica.publish();
    f.stepUntilIdle();
    expect(count()).toBe(1);
  });

  test('without an actor lasts while there are not too many', async () => {
    const { f, ref, change, count } = start();
    const first = ref('nobody');
    for (let i = 0; i < 1_024; i += 1) {
      change(create(`a${i}`));
      ref(`a${i}`);
    }
    expect(await f.ask(first, 'count', undefined)).toBe(7);
    for (let i = 0; i < 1_024; i += 1) ref(`b${i}`);
    expect(count()).toBe(2_048);
    await expect(f.ask(first, 'count', undefined)).rejects.toMatchObject({ code: 'ACTOR_GONE' });
    expect(await f.ask(ref('b1023'), 'count', undefined)).toBe(7);
  });
});
