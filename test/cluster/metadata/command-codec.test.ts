// Metadata commands as bytes: every kind survives, damaged bytes are refused, and the bytes of one
// command of each kind are fixed: they lie in logs on disks.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeCommand,
  encodeCommand,
  type MetadataCommand,
  nodeRemovedBy,
} from '../../../src/cluster/metadata/index.ts';
import { BytesError, toHex } from '../../../src/std/bytes.ts';
import { bind, exchange, owner, queue, unbind } from './routing-words.ts';
import { creation, registration, topicId } from './world.ts';

const life = { node: 3, incarnation: 4_000_000_000 };
const log = { logId: 7, node: 3, epoch: 9 };
const name = { vhost: '/', name: 'é' };
const bytes = new Uint8Array([6, 7]);
const compared = [{ name: 'n', value: 'v', shown: 's' }];

const SAMPLES: readonly [MetadataCommand, string][] = [
  [
    { kind: 'init-cluster', clusterId: 'c', defaults: { partitions: 3, replicationFactor: -1 } },
    '010101630601',
  ],
  [
    {
      kind: 'put-user',
      name: 'u',
      passwordHash: bytes,
      tags: ['administrator', 'management'],
    },
    '012501750102060701020001',
  ],
  [{ kind: 'put-user', name: 'u', passwordHash: undefined, tags: undefined }, '012501750000'],
  [{ kind: 'delete-user', name: 'u' }, '01260175'],
  [{ kind: 'put-vhost', name: 'v' }, '01270176'],
  [{ kind: 'delete-vhost', name: 'v' }, '01280176'],
  [
    { kind: 'put-permission', user: 'u', vhost: 'v', configure: 'c', write: '', read: '.*' },
    '01290175017601630002' + '2e2a',
  ],
  [{ kind: 'delete-permission', user: 'u', vhost: 'v' }, '012a01750176'],
  [{ kind: 'unfence-node', ...life }, '01030680d0acf30e'],
  [{ kind: 'fence-node', ...life }, '01040680d0acf30e'],
  [{ kind: 'resign-node', ...life }, '01050680d0acf30e'],
  [{ kind: 'deregister-node', ...life }, '01060680d0acf30e'],
  [{ kind: 'drain-node', ...life, isLeaving: true }, '011e0680d0acf30e01'],
  [{ kind: 'drain-node', ...life, isLeaving: true, handsOver: true }, '011e0680d0acf30e02'],
  [{ kind: 'reassign-log', logId: 7, replicas: [1, 2], partitionEpoch: -1 }, '011f0702020401'],
  [{ kind: 'move-log', logId: 7, replicas: [1, 2], partitionEpoch: -1 }, '01240702020401'],
  [{ kind: 'restart-shard', ...life, shard: 1, shardIncarnation: 5 }, '01070680d0acf30e0105'],
  [{ kind: 'delete-destination', ...name }, '0109012f02c3a9'],
  [
    { kind: 'add-partitions', ...name, partitions: 2, assignments: [[1, 2]] },
    '010a012f02c3a90401020204',
  ],
  [
    {
      kind: 'configure-destination',
      ...name,
      replace: true,
      entries: [
        ['a', 'b'],
        ['c', undefined],
      ],
    },
    '010b012f02c3a901020161010162016300',
  ],
  [
    {
      kind: 'propose-safe-set',
      ...log,
      partitionEpoch: 2,
      safeSet: [{ node: 1, incarnation: 2 }],
      isr: [1],
    },
    '010c0706120401020201' + '02',
  ],
  [{ kind: 'prefer-leaders', logIds: [1, 2] }, '010d020204'],
  [{ kind: 'return-leaders', logIds: [1, 2] }, '0123020204'],
  [
    {
      kind: 'move-leaders',
      node: 3,
      moves: [{ logId: 7, epoch: 9, partitionEpoch: 2, to: 1 }],
    },
    '01200601071204' + '02',
  ],
  [{ kind: 'resign-log', ...log }, '010e070612'],
  [{ kind: 'elect-unclean', ...log, isForced: true }, '010f07061201'],
  [{ kind: 'allow-unclean', logId: log.logId, epoch: log.epoch }, '01210712'],
  [{ kind: 'lose-replicas', node: 3, incarnation: 4, logIds: [1, 2] }, '011b0604020204'],
  [{ kind: 'set-setting', key: 'k', value: new Uint8Array([1]) }, '0110016b010101'],
  [{ kind: 'set-setting', key: 'k', value: undefined }, '0110016b00'],
  [
    exchange('e', { alternate: 'a', isInternal: true, arguments: bytes }),
    '0111012f01650664697265637405010161020607',
  ],
  [{ kind: 'delete-exchange', ...name, ifUnused: true }, '0112012f02c3a901'],
  [
    bind('e', 'x:f', 'k', { arguments: bytes, headerMatch: new Uint8Array([8]) }),
    '0113012f0165010166016b0206070108',
  ],
  [unbind('e', 'q', ''), '0114012f0165000171000000'],
  [
    queue('q', 3, { compared, owner: owner(3), arguments: bytes, topicId: topicId(4) }),
    '0115012f017110000000000000000000000000000000050605066700010702060701016e0176017301',
  ],
  [
    queue('q', 3, { topicId: topicId(4), autoDelete: true }),
    '0115012f017110000000000000000000000000000000050603000001',
  ],
  [
    queue('q', 3, { topicId: topicId(4), quorum: {} }),
    '0115012f017110000000000000000000000000000000050641000001',
  ],
  [
    queue('q', 3, { topicId: topicId(4), quorum: { deliveryLimit: -1 } }),
    '0115012f0171100000000000000000000000000000000506c101000001',
  ],
  [{ kind: 'delete-queue', ...name, logId: 300 }, '0116012f02c3a9ac02'],
  [
    {
      kind: 'create-actor',
      actor: { name: 'a', version: 2, hash: 0xabc },
      name: 'n',
      topicId: topicId(4),
      replicationFactor: 3,
      minInsync: -1,
    },
    '011901610200000abc016e10000000000000000000000000000000050601',
  ],
  [{ kind: 'delete-actor', actorKind: 'a', name: 'n', logId: 300 }, '011a0161016eac02'],
  [
    {
      kind: 'put-policy',
      ...name,
      pattern: '^o',
      applyTo: 'classic_queues',
      priority: -2,
      definition: [['k', '"v"']],
    },
    '011c012f02c3a9025e6f020301016b03227622',
  ],
  [{ kind: 'delete-policy', ...name }, '011d012f02c3a9'],
  [{ kind: 'release-owner', owner: owner(1, 5, 1) }, '01170265010205'],
];

const BIG: readonly MetadataCommand[] = [
  {
    ...registration(3),
    kind: 'register-node-with-kinds',
    kinds: [{ name: 'app.a', version: 2, hash: 0xffff_ffff }],
  },
  { ...registration(4), kind: 'register-node-as', kinds: [], role: 'ram' },
  {
    ...registration(5, { shardIncarnations: [] }),
    kind: 'register-node-as',
    kinds: [],
    role: 'witness',
  },
  registration(3, { rack: 'r', hasFailedSync: true, previousIncarnation: 9 }),
  creation('t', {
    topicId: topicId(5),
    logKind: 'group',
    mode: 'quorum',
    isInternal: true,
    config: [['k', 'v']],
    assignments: [[1, 2], [3]],
  }),
];

describe('a command', () => {
  test.each(SAMPLES)('%j has fixed bytes', (command, hex) => {
    expect(toHex(encodeCommand(command))).toBe(hex);
  });

  test.each([...SAMPLES.map(([command]) => command), ...BIG])('%j survives', (command) => {
    expect(decodeCommand(encodeCommand(command))).toEqual(command);
  });

  test.each([false, true])(
    'a flag that says nothing is ignored (sync failed: %s)',
    (hasFailedSync) => {
      const command = registration(3, { hasFailedSync });
      const bytes = encodeCommand(command);
      // Behind version, code, node, incarnation, previous incarnation and boot counter.
      const at = 2 + 1 + 1 + 1 + 1;
      expect(bytes[at]).toBe(hasFailedSync ? 2 : 0);
      bytes[at] = bytes[at]! | 1;
      expect(decodeCommand(bytes)).toEqual(command);
    },
  );

  test('every kind has a sample', () => {
    const kinds = new Set([...SAMPLES.map(([command]) => command), ...BIG].map((c) => c.kind));
    expect(kinds.size).toBe(42);
  });

  test('cut short or with a rest, it is refused', () => {
    for (const [command] of SAMPLES) {
      const bytes = encodeCommand(command);
      for (let size = 0; size < bytes.length; size += 1) {
        expect(() => decodeCommand(bytes.subarray(0, size))).toThrow(BytesError);
      }
      expect(() => decodeCommand(new Uint8Array([...bytes, 0]))).toThrow(BytesError);
    }
  });

  test('whom it takes out is seen of a removal alone', () => {
    for (const [command] of SAMPLES) {
      const removed = command.kind === 'deregister-node' ? command.node : undefined;
      expect(nodeRemovedBy(encodeCommand(command))).toBe(removed);
    }
  });

  test('random bytes are refused or are a command, nothing else', () => {
    const rests = fc.uint8Array({ minLength: 0, maxLength: 60 });
    const property = fc.property(rests, fc.integer({ min: 0, max: 31 }), (rest, code) => {
      try {
        expect(decodeCommand(new Uint8Array([1, code, ...rest])).kind).toBeTypeOf('string');
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(BytesError);
      }
    });
    fc.assert(property, { numRuns: 500 });
  });
});
