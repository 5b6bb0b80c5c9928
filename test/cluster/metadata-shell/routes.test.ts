// What routing tables hear of committed metadata: each step once and in order, from commands as from
// snapshots; and changes asked for through the service, with refusals that carry the difference.
import { describe, expect, test, vi } from 'vitest';
import { encodeCommand, type MetadataCommand } from '../../../src/cluster/metadata/index.ts';
import { MetadataChanges } from '../../../src/cluster/metadata-shell/changes.ts';
import { UNAVAILABLE } from '../../../src/cluster/metadata-shell/metadata-protocol.ts';
import { MetadataReplica } from '../../../src/cluster/metadata-shell/metadata-replica.ts';
import type { ExchangeView, RouteChange } from '../../../src/cluster/ports.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import { bind, exchange, NO_BYTES, queue, unbind } from '../metadata/routing-words.ts';
import { creation, registration } from '../metadata/world.ts';

class Node {
  readonly replica = new MetadataReplica(1);
  readonly heard: (RouteChange | 'anew')[] = [];
  readonly service: MetadataChanges;
  index = 0;

  constructor() {
    this.replica.view.onRoutes((changes) => this.heard.push(...(changes ?? ['anew' as const])));
    const send = (command: Uint8Array) => Promise.resolve(this.#answer(command));
    this.service = new MetadataChanges(this.replica.image, send, new SeededRandom(1));
    this.do(registration(1), { kind: 'unfence-node', node: 1, incarnation: 101 });
  }

  do(...commands: readonly MetadataCommand[]): void {
    for (const command of commands) this.replica.apply(encodeCommand(command), ++this.index);
    this.replica.publish();
  }

  #answer(command: Uint8Array) {
    const refused = this.replica.apply(command, ++this.index);
    this.replica.publish();
    const done = { kind: 'done', index: this.index, code: '', message: '' } as const;
    if (refused === undefined) return { ...done, difference: undefined };
    return { kind: 'refused', index: this.index, ...refused } as const;
  }

  kinds(): string[] {
    return this.heard.splice(0).map((each) => (each === 'anew' ? each : each.kind));
  }
}

const VIEW: ExchangeView = {
  name: 'e',
  type: 'topic',
  durable: true,
  autoDelete: false,
  isInternal: false,
  alternate: undefined,
  arguments: NO_BYTES,
};

describe('the view', () => {
  test('tells which logs have changed, and of no others', () => {
    const node = new Node();
    const { view } = node.replica;
    const heard: number[][] = [];
    const stop = view.onLogs((logIds) => heard.push(logIds === undefined ? [] : [...logIds]));
    node.do(exchange('e'));
    expect(heard).toEqual([]);
    node.do(queue('q', 1), creation('t', { partitions: 2 }));
    expect(heard.splice(0).map((each) => [...new Set(each)])).toEqual([[1, 2, 3]]);
    const readFrom = (value: string) =>
      node.do({
        kind: 'configure-destination',
        vhost: '/',
        name: 't',
        replace: false,
        entries: [['callboard.read.from', value]],
      });
    readFrom('replica');
    expect(heard.splice(0)).toEqual([[2, 3]]);
    readFrom('replica');
    expect(heard.splice(0)).toEqual([]);
    readFrom('leader');
    expect(heard.splice(0)).toEqual([[2, 3]]);
    node.do({ kind: 'fence-node', node: 1, incarnation: 101 });
    expect([...new Set(heard.splice(0).flat())]).toEqual([1, 2, 3]);
    expect(view.log(1)?.leader).toBe(-1);
    node.do({ kind: 'delete-destination', vhost: '/', name: 't' });
    expect([...new Set(heard.splice(0).flat())]).toEqual([2, 3]);
    node.replica.restore(node.replica.snapshot());
    node.replica.publish();
    // Any log may have changed.
    expect(heard.splice(0)).toEqual([[]]);
    stop();
    node.do(creation('u', { partitions: 1 }));
    expect(heard).toEqual([]);
  });

  test('tells exchanges, bindings and names in the order of their changes', () => {
    const node = new Node();
    const { view } = node.replica;
    node.do(exchange('e'), queue('q', 1), bind('e', 'q'), creation('t', { partitions: 1 }));
    expect(node.kinds()).toEqual([
      'exchange-created',
      'queue-created',
      'binding-created',
      'queue-created',
    ]);
    const version = view.routesVersion;
    node.do({ kind: 'set-setting', key: 'k', value: undefined });
    node.do(creation('inner', { isInternal: true, partitions: 1 }));
    node.do(exchange('elsewhere', { vhost: 'other' }));
    expect(node.kinds()).toEqual([]);
    expect(view.routesVersion).toBe(version);
    node.do({ kind: 'delete-destination', vhost: '/', name: 'q' }, unbind('e', 'q'));
    expect(node.heard.splice(0)).toMatchObject([
      { kind: 'binding-deleted', binding: { source: 'e', target: 'q' } },
      { kind: 'queue-deleted', name: 'q' },
    ]);
    expect(view.routesVersion).toBe(version + 1);
  });

  test('tells that all is new after a snapshot, and nothing once nobody listens', () => {
    const node = new Node();
    node.do(exchange('e'));
    const bytes = node.replica.snapshot();
    const other = new Node();
    other.replica.restore(bytes);
    other.replica.publish();
    expect(other.heard.splice(0)).toEqual(['anew']);
    expect(other.replica.view.exchange('e')).toMatchObject({ name: 'e', type: 'direct' });
    let calls = 0;
    const stop = other.replica.view.onRoutes(() => {
      calls += 1;
    });
    stop();
    other.do(exchange('f'));
    expect(calls).toBe(0);
  });

  test('has built-in exchanges among the others, bindings by either end, and rules of queues', () => {
    const node = new Node();
    const { view } = node.replica;
    node.do(exchange('b'), exchange('a'), queue('q', 1, { autoDelete: true }));
    node.do(bind('b', 'q'), bind('b', 'x:a'), creation('t', { partitions: 1 }));
    expect(view.exchanges().map(({ name }) => name)).toEqual([
      '',
      'a',
      'amq.direct',
      'amq.fanout',
      'amq.headers',
      'amq.match',
      'amq.topic',
      'b',
    ]);
    expect(view.exchange('amq.match')).toMatchObject({ type: 'headers' });
    expect(view.bindingsFrom('b').map(({ target }) => target)).toEqual(['q', 'a']);
    expect(view.bindingsTo('queue', 'q')).toHaveLength(1);
    expect(view.bindingsTo('exchange', 'a')).toHaveLength(1);
    expect(view.destination('q')?.queue).toMatchObject({ autoDelete: true, durable: true });
    expect(view.destination('t')?.queue).toBeUndefined();
  });
});

describe('without a quorum', () => {
  test('what is there just so is answered, and the image is neither changed nor copied', async () => {
    const node = new Node();
    const { image } = node.replica;
    node.do(exchange('e'), queue('q', 1), bind('e', 'q', 'k'));
    const [before, { version }] = [node.replica.snapshot(), image];
    // Whoever copies it reads all of it.
    const read = vi.spyOn(image, 'destinations');
    const send = () => Promise.resolve(UNAVAILABLE);
    const service = new MetadataChanges(image, send, new SeededRandom(1));
    const known = exchange('e');
    const bound = bind('e', 'q', 'k');
    expect(await service.declareExchange(known, 100)).toEqual({ kind: 'ok', version });
    expect(await service.bind(bound, 100)).toEqual({ kind: 'ok', version });
    expect((await service.unbind(bound, 100)).kind).toBe('unavailable');
    const other = { ...bound, routingKey: 'other' };
    expect((await service.unbind(other, 100)).kind).toBe('ok');
    expect((await service.bind(other, 100)).kind).toBe('unavailable');
    expect((await service.declareExchange({ ...known, name: 'new' }, 100)).kind).toBe(
      'unavailable',
    );
    const declared = queue('q', 1);
    expect((await service.declareQueue(declared, 100)).kind).toBe('ok');
    for (const change of [{ name: 'new' }, { durable: false }]) {
      const asked = await service.declareQueue({ ...declared, ...change }, 100);
      expect(asked.kind).toBe('unavailable');
    }
    expect(read).not.toHaveBeenCalled();
    expect(image.version).toBe(version);
    expect(node.replica.snapshot()).toEqual(before);
  });
});

describe('the service', () => {
  test('declares, binds and removes', async () => {
    const node = new Node();
    const { service } = node;
    const { view } = node.replica;
    expect(await service.declareExchange(VIEW, 10)).toMatchObject({ kind: 'ok' });
    const { kind: _, vhost: __, topicId: ___, ...wanted } = queue('q', 1);
    expect(await service.declareQueue(wanted, 10)).toMatchObject({ kind: 'ok' });
    const id = view.destination('q')!.id;
    expect(id).toHaveLength(16);
    const binding = bind('e', 'q', '#');
    expect(await service.bind(binding, 10)).toMatchObject({ kind: 'ok' });
    expect(view.bindingsFrom('e')).toMatchObject([{ target: 'q', routingKey: '#' }]);
    expect(await service.deleteExchange('e', true, 10)).toMatchObject({ code: 'exchange-in-use' });
    await service.unbind(binding, 10);
    expect(await service.deleteExchange('e', true, 10)).toMatchObject({ kind: 'ok' });
    const { logId } = view.destination('q')!.logs[0]!;
    expect(await service.deleteQueue('q', logId + 1, 10)).toMatchObject({ code: 'stale-log' });
    expect(await service.deleteQueue('q', logId, 10)).toMatchObject({ kind: 'ok' });
    expect(view.destination('q')).toBeUndefined();
  });

  test('answers what differs', async () => {
    const { service } = new Node();
    await service.declareExchange(VIEW, 10);
    expect(await service.declareExchange({ ...VIEW, type: 'fanout' }, 10)).toMatchObject({
      kind: 'refused',
      code: 'inequivalent',
      difference: { property: 'type', received: 'fanout', current: 'topic' },
    });
    expect(await service.deleteExchange('nothing', false, 10)).toMatchObject({
      code: 'unknown-exchange',
      difference: undefined,
    });
  });

  test('ends a connection', async () => {
    const node = new Node();
    const of = { node: 1, incarnation: 101, shard: 0, shardIncarnation: 1, connection: 4 };
    const { kind: _, vhost: __, topicId: ___, ...wanted } = queue('q', 1, { owner: of });
    await node.service.declareQueue(wanted, 10);
    expect(node.replica.view.destination('q')?.queue?.owner).toEqual(of);
    expect(await node.service.releaseOwner(of, 10)).toMatchObject({ kind: 'ok' });
    expect(node.replica.view.destination('q')).toBeUndefined();
  });
});
