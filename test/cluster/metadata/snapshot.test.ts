// Snapshots as bytes: the first version is still read, the present one has fixed bytes, and random
// routing histories give equal images on every replica, wherever it began.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hashImage,
  type MetadataCommand,
  MetadataImage,
  restoreImage,
  snapshotImage,
} from '../../../src/cluster/metadata/index.ts';
import { toHex } from '../../../src/std/bytes.ts';
import { runs } from '../../setup/runs.ts';
import { bind, exchange, exclusive, owner, queue, unbind } from './routing-words.ts';
import { creation, registration, topicId, World } from './world.ts';

/** Cluster c, nodes 1 and 2, topic t of one partition, one setting; as version 1 wrote it. */
const VERSION_1 =
  '010701630201020102026501046f732d31e9070001056b61666b61093132372e302e302e3123290102020400' +
  '466601046f732d31ea070001056b61666b61093132372e302e302e31232a010202040001012f017410000000' +
  '00000000000000000000000009000002010c726574656e74696f6e2e6d7301350102010100012f0174000202' +
  '04020265020202650466020204000001000001016b0107';

/** One node, an exchange, an exclusive and a durable queue, two bindings. */
const VERSION_2 =
  '0207000601030201026501046f732d31e9070001056b61666b61093132372e302e302e31232901020204' +
  '0002012f016410000000000000000000000000000000040200010001040101010501016e01760173012f' +
  '017110000000000000000000000000fe35573c020001000102010402650001070000020102012f017100' +
  '010202026502010265010200000102000202012f01640001020202650201026501020000010000000101' +
  '2f016505746f706963030101610002012f0165000171016b000109012f0165010a616d712e66616e6f75' +
  '74016b0000';

/** As version 4 without reassignments: a byte for no kinds of actors. */
const VERSION_3 =
  '0307000601030201026501046f732d31e9070001056b61666b61093132372e302e302e31232901020204' +
  '000002012f016410000000000000000000000000000000040200010001040101010501016e0176017301' +
  '2f017110000000000000000000000000fe35573c020001000102010402650001070000020102012f0171' +
  '00010202026502010265010200000102000202012f016400010202026502010265010200000100000001' +
  '012f016505746f706963030101610002012f0165000171016b000109012f0165010a616d712e66616e6f' +
  '7574016b0000';

/** The same with a policy, which one of the queues has. */
const VERSION_4 =
  '0408000601030201026501046f732d31e9070001056b61666b61093132372e302e302e31232901020204' +
  '000002012f016410000000000000000000000000000000040200010001040101010501016e0176017300' +
  '012f017110000000000000000000000000fe35573c020001000102010402650001070000010170020102' +
  '012f017100010202026502010265010200000102000202012f0164000102020265020102650102000001' +
  '00000001012f016505746f706963030101610002012f0165000171016b000109012f0165010a616d712e' +
  '66616e6f7574016b000001012f0170025e710102010c782d6475726162696c69747907226173796e6322';

/** The same with what reassignments and removed nodes are, and there are none. */
const VERSION_5 =
  '0508000601030201026501046f732d31e9070001056b61666b61093132372e302e302e31232901020204' +
  '000002012f016410000000000000000000000000000000040200010001040101010501016e0176017300' +
  '012f017110000000000000000000000000fe35573c020001000102010402650001070000010170020102' +
  '012f017100010202026502010265010200000102000000000202012f0164000102020265020102650102' +
  '00000100000000000001012f016505746f706963030101610002012f0165000171016b000109012f0165' +
  '010a616d712e66616e6f7574016b000001012f0170025e710102010c782d6475726162696c6974790722' +
  '6173796e632200';

/** The same: it has no quorum queue. */
const VERSION_6 = `06${VERSION_5.slice(2)}`;

/** The same with the roles of nodes, all of them disk nodes. */
const VERSION_7 =
  '0708000601030201026501046f732d31e9070001056b61666b61093132372e302e302e31232901020204' +
  '00000002012f016410000000000000000000000000000000040200010001040101010501016e01760173' +
  '00012f017110000000000000000000000000fe35573c0200010001020104026500010700000101700201' +
  '02012f017100010202026502010265010200000102000000000202012f01640001020202650201026501' +
  '0200000100000000000001012f016505746f706963030101610002012f0165000171016b000109012f01' +
  '65010a616d712e66616e6f7574016b000001012f0170025e710102010c782d6475726162696c69747907' +
  '226173796e632200';

/** The same: nothing is being reassigned. */
const VERSION_8 = `08${VERSION_7.slice(2)}`;

/** The same with what a new cluster has: guest, the vhost / and all rights there. */
const VERSION_9 =
  `09${VERSION_8.slice(2)}` +
  '010567756573742400000000f12843c6b78d8e830014622739282a8a106d7881a768862e47bb77e1552b3271' +
  '010001012f01056775657374012f022e2a022e2a022e2a';

describe('a snapshot', () => {
  test('of version 1 gives the image it was made of, without exchanges', () => {
    const image = new MetadataImage();
    restoreImage(image, new Uint8Array(Buffer.from(VERSION_1, 'hex')));
    expect(image.version).toBe(7);
    expect(image.destination('/', 't')).toMatchObject({ kind: 'partition', queue: undefined });
    expect(image.log(1)).toMatchObject({ leader: 1, isr: [1, 2] });
    expect(image.setting('k')).toEqual(new Uint8Array([7]));
    expect(image.routing.exchanges()).toEqual([]);
    const again = new MetadataImage();
    restoreImage(again, snapshotImage(image));
    expect(hashImage(again)).toBe(hashImage(image));
  });

  test('of version 2 gives the image it was made of, without kinds of actors', () => {
    const image = new MetadataImage();
    restoreImage(image, new Uint8Array(Buffer.from(VERSION_2, 'hex')));
    expect(image.node(1)).toMatchObject({ kinds: [], isFenced: false });
    expect(image.destination('/', 'd')?.queue?.durable).toBe(true);
  });

  test('of version 3 gives the image it was made of, without policies', () => {
    const image = new MetadataImage();
    restoreImage(image, new Uint8Array(Buffer.from(VERSION_3, 'hex')));
    expect(image.destination('/', 'd')).toMatchObject({ policy: undefined, kind: 'queue' });
    expect([...image.routing.bindings()]).toHaveLength(2);
    expect(image.policies.policies()).toEqual([]);
  });

  test('of version 4 gives the image it was made of, without reassignments', () => {
    const image = new MetadataImage();
    restoreImage(image, new Uint8Array(Buffer.from(VERSION_4, 'hex')));
    expect(image.log(1)).toMatchObject({ adding: [], removing: [], assignedAt: 0 });
    expect(image.node(1)!.isLeaving).toBe(false);
    expect(image.removedNodes()).toEqual([]);
  });

  test.each([VERSION_5, VERSION_6, VERSION_7])(
    'of versions 5 to 7 gives the image, of disk nodes',
    (bytes) => {
      const image = new MetadataImage();
      restoreImage(image, new Uint8Array(Buffer.from(bytes, 'hex')));
      expect(image.nodes().map(({ id, role }) => [id, role])).toEqual([[1, 'disk']]);
      expect(toHex(snapshotImage(image))).toBe(VERSION_9);
      expect(image.log(1)!.handsOver).toBe(false);
    },
  );

  test.each([true, false])('knows whether a reassignment hands over (%s)', (handsOver) => {
    const world = new World([1, 2, 3, 4]);
    world.do(creation('t', { assignments: [[1, 2, 3]], partitions: -1 }));
    const { logId } = world.log('t');
    const kind = handsOver ? 'move-log' : 'reassign-log';
    world.do({ kind, logId, replicas: [4, 2, 3], partitionEpoch: -1 });
    const again = new MetadataImage();
    restoreImage(again, snapshotImage(world.image));
    expect(again.log(logId)).toMatchObject({ handsOver, removing: [1] });
    expect(hashImage(again)).toBe(hashImage(world.image));
  });

  test('of version 8 gives the image it was made of, with the users of a new cluster', () => {
    const image = new MetadataImage();
    image.access.clearAll();
    restoreImage(image, new Uint8Array(Buffer.from(VERSION_8, 'hex')));
    expect(image.access.users().map(({ name }) => name)).toEqual(['guest']);
    expect(toHex(snapshotImage(image))).toBe(VERSION_9);
  });

  test('has fixed bytes', () => {
    const world = new World([1]);
    world.do(exchange('e', { type: 'topic', alternate: 'a', autoDelete: true }));
    world.do(exclusive('q', 1));
    const compared = [{ name: 'n', value: 'v', shown: 's' }];
    world.do(queue('d', 1, { compared, arguments: new Uint8Array([5]), topicId: topicId(3) }));
    world.do(bind('e', 'q', 'k', { headerMatch: new Uint8Array([9]) }));
    world.do(bind('e', 'x:amq.fanout'));
    const definition = [['x-durability', '"async"']] as const;
    const rules = { pattern: '^q', applyTo: 'queues', priority: 1, definition } as const;
    world.do({ kind: 'put-policy', vhost: '/', name: 'p', ...rules });
    expect(toHex(snapshotImage(world.image))).toBe(VERSION_9);
  });

  test('of an unknown version or cut anywhere is refused', () => {
    const world = new World([1]);
    world.do(queue('q', 1));
    world.do(bind('amq.topic', 'q'));
    const bytes = snapshotImage(world.image);
    for (let size = 0; size < bytes.length; size += 1) {
      expect(() => restoreImage(new MetadataImage(), bytes.subarray(0, size))).toThrow();
    }
    bytes[0] = 10;
    expect(() => restoreImage(new MetadataImage(), bytes)).toThrow();
  });
});

// ---- Random histories -----------------------------------------------------------------------------

type Move = readonly [number, number, number];

function move(world: World, [what, a, b]: Move): MetadataCommand {
  const node = 1 + (a % 3);
  const record = world.image.node(node)!;
  const life = { node, incarnation: record.incarnation };
  const shard = b % 2;
  const shardIncarnation = record.shardIncarnations[shard]!;
  const connection = { ...life, shard, shardIncarnation, connection: b % 3 };
  const source = a % 5 === 0 ? 'amq.topic' : `e${a % 4}`;
  const target = b % 3 === 0 ? `x:e${b % 4}` : `q${b % 6}`;
  switch (what % 12) {
    case 0:
    case 1:
      return exchange(`e${a % 4}`, { autoDelete: a % 2 === 0, durable: a % 3 !== 0 });
    case 2:
    case 3:
    case 4:
      return bind(source, target, `k${(a + b) % 5}`);
    case 5:
      return unbind(source, target, `k${(a + b) % 5}`);
    case 6:
      return queue(`q${b % 6}`, node, { durable: b % 2 === 0, topicId: topicId(world.index) });
    case 7:
      return {
        ...queue(`q${b % 6}`, node, { topicId: topicId(world.index) }),
        owner: connection,
      };
    case 8:
      return { kind: 'release-owner', owner: connection };
    case 9:
      return b % 2 === 0
        ? { kind: 'delete-exchange', vhost: '/', name: `e${a % 4}`, ifUnused: a % 2 === 0 }
        : { kind: 'delete-queue', vhost: '/', name: `q${a % 6}`, logId: 0 };
    case 10:
      return { kind: b % 3 === 0 ? 'fence-node' : 'unfence-node', ...life };
    default:
      return b % 2 === 0
        ? registration(node, {
            incarnation: life.incarnation,
            bootCounter: record.bootCounter + 1,
            pid: world.index,
            shardIncarnations: [world.index * 2 + 10, world.index * 2 + 11],
          })
        : { kind: 'restart-shard', ...life, shard, shardIncarnation: 5000 + world.index };
  }
}

/** What must hold of exchanges, bindings and owners, whatever happened. */
function check(image: MetadataImage, autoDelete: ReadonlySet<string>): void {
  const { routing } = image;
  for (const binding of routing.bindings()) {
    expect(routing.exchange('/', binding.source)).toBeDefined();
    const { targetKind, target } = binding;
    if (targetKind === 'exchange') expect(routing.exchange('/', target)).toBeDefined();
    else expect(image.destination('/', target)).toBeDefined();
    expect(routing.bindingsFrom('/', binding.source)).toContain(binding);
    expect(routing.bindingsTo('/', targetKind, target)).toContain(binding);
  }
  for (const { name } of routing.exchanges()) {
    // One that had a binding and has none is gone.
    if (autoDelete.has(name)) expect(routing.countFrom('/', name)).toBeGreaterThan(0);
  }
  for (const { queue: rules } of image.destinations()) {
    if (rules?.owner === undefined) continue;
    const node = image.node(rules.owner.node)!;
    expect(node.isFenced).toBe(false);
    expect(node.shardIncarnations[rules.owner.shard]).toBe(rules.owner.shardIncarnation);
  }
}

test('in any routing history ends exist, owners live, and replicas agree from any point', () => {
  let bindings = 0;
  let cascades = 0;
  const moves = fc.array(fc.tuple(fc.nat(47), fc.nat(60), fc.nat(60)), {
    minLength: 60,
    maxLength: 120,
  });
  const property = fc.property(moves, fc.nat(100), (history, cut) => {
    const world = new World([1, 2, 3]);
    const late = new World();
    const bound = new Set<string>();
    history.forEach((step, i) => {
      const command = move(world, step);
      const outcome = world.try(command);
      for (const change of world.changes) {
        if (change.kind === 'exchange-deleted') bound.delete(change.name);
        if (change.kind !== 'binding-created') continue;
        const { source } = change.binding;
        bindings += 1;
        if (world.image.routing.exchange('/', source)?.autoDelete === true) bound.add(source);
      }
      if (world.changes.length > 2) cascades += 1;
      check(world.image, bound);
      if (i === cut) restoreImage(late.image, snapshotImage(world.image));
      if (i > cut) {
        late.index = world.index - 1;
        expect(late.try(command)).toEqual(outcome);
        expect(late.changes).toEqual(world.changes);
      }
    });
    if (history.length > cut) expect(hashImage(late.image)).toBe(hashImage(world.image));
  });
  fc.assert(property, { numRuns: runs(100, 25), seed: 5 });
  expect(bindings).toBeGreaterThan(runs(500, 125));
  expect(cascades).toBeGreaterThan(runs(100, 25));
});

test('owners are indexed again after a restore', () => {
  const world = new World([1]);
  world.do(exclusive('q', 1));
  const copy = new MetadataImage();
  restoreImage(copy, snapshotImage(world.image));
  expect(copy.ownedBy(owner(1)).map(({ name }) => name)).toEqual(['q']);
});
