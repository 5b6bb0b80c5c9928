// What routing cannot honour is refused before the metadata hears of it.
import { expect, test } from 'vitest';
import { withDeclarationRules } from '../../../src/broker/exchange/declarations.ts';
import { MetadataImage } from '../../../src/cluster/metadata/index.ts';
import { MetadataChanges } from '../../../src/cluster/metadata-shell/changes.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import { bind, exchange } from '../../cluster/metadata/routing-words.ts';

function service() {
  const sent: Uint8Array[] = [];
  const changes = new MetadataChanges(
    new MetadataImage(),
    async (command) => {
      sent.push(command);
      return { kind: 'done', index: 1, code: '', message: '', difference: undefined };
    },
    new SeededRandom(1),
  );
  return { sent, metadata: withDeclarationRules(changes) };
}

test.each(['x-consistent-hash', 'x-random', 'x-delayed-message', 'Direct', ''])(
  'an exchange of type "%s" is refused, and nothing is sent',
  async (type) => {
    const { sent, metadata } = service();
    expect(await metadata.declareExchange(exchange('e', { type }), 10)).toMatchObject({
      kind: 'refused',
      code: 'unknown-exchange-type',
    });
    expect(sent).toEqual([]);
  },
);

test('a binding with bytes that are no header match is refused', async () => {
  const { sent, metadata } = service();
  const bad = bind('amq.headers', 'q', '', { headerMatch: new Uint8Array([0, 9]) });
  expect(await metadata.bind(bad, 10)).toMatchObject({ kind: 'refused', code: 'malformed' });
  expect(sent).toEqual([]);
});

const stream = (name: string, isInternal: boolean) => ({
  ...{ name, isInternal, partitions: 1, replicationFactor: -1, assignments: [], config: [] },
  ...{ kind: 'partition', validateOnly: false },
});

const queue = (name: string) => ({
  ...{ name, durable: true, autoDelete: false, owner: undefined, compared: [], node: 1 },
  ...{ arguments: new Uint8Array(0), replicationFactor: -1 },
});

test.each(['__consumer_offsets', '__callboard_probe'])(
  'the name %s is nobody’s but the cluster’s, also before it is there',
  async (name) => {
    const { sent, metadata } = service();
    const refused = { kind: 'refused', code: 'exists' };
    expect(await metadata.create(stream(name, false), 10)).toMatchObject(refused);
    expect(await metadata.declareQueue(queue(name), 10)).toMatchObject(refused);
    expect(sent).toEqual([]);
    expect((await metadata.create(stream(name, true), 10)).kind).toBe('ok');
  },
);

test('everything else passes', async () => {
  const { sent, metadata } = service();
  const owner = { node: 1, incarnation: 1, shard: 0, shardIncarnation: 1, connection: 1 };
  const all = [
    metadata.declareExchange(exchange('e'), 10),
    metadata.deleteExchange('e', false, 10),
    metadata.bind(bind('e', 'q'), 10),
    metadata.unbind(bind('e', 'q'), 10),
    metadata.deleteQueue('q', 0, 10),
    metadata.releaseOwner(owner, 10),
    metadata.remove('q', 10),
    metadata.configure({ name: 'q', replace: false, entries: [], validateOnly: false }, 10),
    metadata.create(stream('s', false), 10),
    metadata.declareQueue(queue('q'), 10),
  ];
  for (const answer of await Promise.all(all)) expect(answer.kind).toBe('ok');
  expect(sent).toHaveLength(all.length);
});
