// The safe set as compare-and-set (F6), resignation, preferred leaders; and random histories in which
// every leader must be a live safe member and every epoch must have one writer.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hashImage,
  isCandidate,
  type MetadataCommand,
  MetadataImage,
  restoreImage,
  snapshotImage,
} from '../../../src/cluster/metadata/index.ts';
import { runs } from '../../setup/runs.ts';
import { creation, registration, World } from './world.ts';

function threeWithTopic(): World {
  const world = new World([1, 2, 3]);
  world.do(creation('t', { partitions: 1 }));
  return world;
}

describe('the safe set', () => {
  test('shrinks and grows by its leader, never below min in-sync', () => {
    const world = threeWithTopic();
    expect(world.setCode('t', [1, 2])).toBe('ok');
    expect(world.log('t').isr).toEqual([1, 2]);
    expect(world.setCode('t', [1])).toBe('invalid-safe-set');
    expect(world.setCode('t', [1, 2], [1])).toBe('ok');
    expect(world.setCode('t', [1, 3])).toBe('ok');
    expect(world.setCode('t', [1, 2, 3])).toBe('ok');
  });

  test('refuses what is not seen, not led, not live or not assigned', () => {
    const world = threeWithTopic();
    const { logId, epoch, partitionEpoch, safeSet } = world.log('t');
    const base = { kind: 'propose-safe-set', logId, epoch, partitionEpoch, safeSet } as const;
    const isr = [1, 2, 3];
    const code = (over: Partial<MetadataCommand>) =>
      world.code({ ...base, node: 1, isr, ...over } as MetadataCommand);
    expect(code({ logId: 99 })).toBe('unknown-log');
    expect(code({ epoch: 9 })).toBe('stale-epoch');
    expect(code({ node: 2 })).toBe('stale-epoch');
    expect(code({ partitionEpoch: 9 })).toBe('stale-partition-epoch');
    const others = safeSet.filter((m) => m.node !== 1);
    expect(code({ safeSet: others, isr: [2, 3] })).toBe('invalid-safe-set');
    expect(code({ safeSet: [...safeSet, safeSet[0]] })).toBe('invalid-safe-set');
    const other = [...others, { node: 1, incarnation: 9 }];
    expect(code({ safeSet: other })).toBe('invalid-safe-set');
    expect(code({ safeSet: [...safeSet, { node: 4, incarnation: 104 }] })).toBe('invalid-safe-set');
    expect(code({ safeSet: safeSet.slice(0, 2) })).toBe('invalid-safe-set');
    expect(code({})).toBe('ok');
  });

  test('a dead node cannot come in, nor be shown as in sync', () => {
    const world = threeWithTopic();
    world.setCode('t', [1, 2]);
    world.fence(3);
    expect(world.setCode('t', [1, 2, 3])).toBe('invalid-safe-set');
    expect(world.setCode('t', [1, 2, 3], [1, 2])).toBe('invalid-safe-set');
    world.fence(2);
    expect(world.setCode('t', [1, 2], [1, 2])).toBe('invalid-safe-set');
    expect(world.setCode('t', [1, 2], [1])).toBe('ok');
  });

  test('a set that lost members by loss of data grows again', () => {
    const world = threeWithTopic();
    for (const node of [2, 3]) world.do(registration(node, { incarnation: 500 + node }));
    expect(world.log('t').safeSet).toHaveLength(1);
    for (const node of [2, 3]) world.unfence(node);
    expect(world.log('t').leader).toBe(1);
    expect(world.setCode('t', [1, 2])).toBe('ok');
    expect(world.log('t').safeSet).toContainEqual({ node: 2, incarnation: 502 });
  });
});

describe('a replica that lost what it acknowledged', () => {
  const lost = (world: World, node: number, ...names: string[]) =>
    ({
      kind: 'lose-replicas',
      node,
      incarnation: world.image.node(node)!.incarnation,
      logIds: names.map((name) => world.log(name).logId),
    }) as const;

  test('is taken out of an `all` set, in a new epoch, whoever leads', () => {
    const world = threeWithTopic();
    const { epoch } = world.log('t');
    world.do(lost(world, 2, 't'));
    expect(world.log('t')).toMatchObject({ leader: 1, epoch: epoch + 1, isr: [1, 3] });
    expect(world.log('t').safeSet.map(({ node }) => node)).toEqual([1, 3]);
    // Told again there is nobody to take out; what the leader asked for meanwhile is void all the same.
    world.do(lost(world, 2, 't'));
    expect(world.log('t')).toMatchObject({ leader: 1, epoch: epoch + 2, isr: [1, 3] });
    world.do(lost(world, 1, 't'));
    expect(world.log('t')).toMatchObject({ leader: 3, epoch: epoch + 3, isr: [3] });
    // It joins again when the leader says that it holds everything.
    expect(world.setCode('t', [1, 3])).toBe('ok');
  });

  test('is nobody in a `quorum` set from then on, until the leader names it anew', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('g', { partitions: 1, mode: 'quorum' }));
    world.do(lost(world, 1, 'g'));
    expect(world.log('g').safeSet[0]).toEqual({ node: 1, incarnation: 0 });
    expect(world.log('g')).toMatchObject({ leader: 2, isr: [2, 3] });
    expect(isCandidate(world.image, world.log('g'), 1)).toBe(false);
    const copy = new MetadataImage();
    restoreImage(copy, snapshotImage(world.image));
    expect(hashImage(copy)).toBe(hashImage(world.image));
    expect(world.setCode('g', [1, 2, 3])).toBe('ok');
    expect(isCandidate(world.image, world.log('g'), 1)).toBe(true);
  });

  test('stays where nobody else is in the set, be they all nobody', () => {
    const world = new World([1, 2, 3]);
    world.do(creation('one', { partitions: 1, replicationFactor: 1 }));
    world.do(creation('g', { partitions: 1, mode: 'quorum' }));
    const node = world.log('one').replicas[0]!;
    expect(world.do(lost(world, node, 'one'))).toEqual([]);
    for (const each of [1, 2, 3]) world.do(lost(world, each, 'g'));
    expect(world.log('g').safeSet.map(({ incarnation }) => incarnation)).toEqual([0, 0, 103]);
    expect(world.code({ ...lost(world, 1, 'g'), incarnation: 9 })).toBe('stale-incarnation');
  });

  test('who came back without its data is nobody else: the last who has it goes on to count', () => {
    const world = threeWithTopic();
    world.do(creation('g', { partitions: 1, logKind: 'group' }));
    world.do(lost(world, 2, 'g'));
    // Its disk is new: the set goes on to name the incarnation that is gone.
    world.join(1, { incarnation: 901 });
    expect(world.log('g').safeSet.map(({ incarnation }) => incarnation)).toEqual([101, 0, 103]);
    world.do(lost(world, 3, 'g'));
    expect(world.log('g').safeSet.map(({ incarnation }) => incarnation)).toEqual([101, 0, 103]);
  });
});

describe('leaders', () => {
  test('return to the first replica only when it is in sync', () => {
    const world = threeWithTopic();
    const { logId } = world.log('t');
    world.fence(1);
    world.unfence(1);
    const prefer = { kind: 'prefer-leaders', logIds: [logId, 99] } as const;
    expect(world.do(prefer)).toEqual([]);
    expect(world.setCode('t', [1, 2, 3])).toBe('ok');
    world.do(prefer);
    expect(world.log('t')).toMatchObject({ leader: 1, epoch: 3 });
  });

  test('are asked to hand over to the first replica only when it is in sync, and nothing changes', () => {
    const world = threeWithTopic();
    const { logId } = world.log('t');
    const wanted = { kind: 'return-leaders', logIds: [logId, 99] } as const;
    expect(world.do(wanted)).toEqual([]);
    world.fence(1);
    world.unfence(1);
    expect(world.do(wanted)).toEqual([]);
    expect(world.setCode('t', [1, 2, 3])).toBe('ok');
    const before = world.log('t');
    expect(world.do(wanted)).toEqual([{ kind: 'leader-wanted', logId, epoch: 2, target: 1 }]);
    expect(world.log('t')).toBe(before);
  });

  test('hand over what they hold, to who is in sync, if nothing has changed since', () => {
    const world = threeWithTopic();
    const { logId, epoch, partitionEpoch } = world.log('t');
    const to = (target: number, over: object = {}) => ({
      kind: 'move-leaders' as const,
      node: 1,
      moves: [{ logId, epoch, partitionEpoch, to: target, ...over }],
    });
    for (const stale of [
      to(2, { epoch: 0 }),
      to(2, { partitionEpoch: partitionEpoch + 1 }),
      to(4),
      to(1),
    ]) {
      expect(world.do(stale)).toEqual([]);
    }
    expect(world.do({ ...to(2), node: 3 })).toEqual([]);
    expect(world.do(to(2, { logId: 99 }))).toEqual([]);
    expect(world.do(to(2)).map(({ kind }) => kind)).toEqual(['log-changed', 'leader-moved']);
    expect(world.log('t')).toMatchObject({ leader: 2, epoch: epoch + 1, isr: [1, 2, 3] });
    // The same again, by way of another leader of the metadata perhaps.
    expect(world.do(to(2))).toEqual([]);
    expect(world.setCode('t', [1, 2])).toBe('ok');
    const now = world.log('t');
    const away = { epoch: now.epoch, partitionEpoch: now.partitionEpoch };
    expect(world.do({ ...to(3, away), node: 2 })).toEqual([]);
  });

  test('that stall give up one log', () => {
    const world = threeWithTopic();
    const { logId, epoch } = world.log('t');
    const resign = { kind: 'resign-log', logId, node: 1, epoch } as const;
    world.do(resign);
    expect(world.log('t')).toMatchObject({ leader: 2, isr: [2, 3] });
    expect(world.code(resign)).toBe('stale-epoch');
  });
});

describe('loss that an operator allows', () => {
  /** In sync on nodes 1 and 3, which are gone. */
  function offline(config: readonly (readonly [string, string])[] = []): World {
    const world = threeWithTopic();
    if (config.length > 0) {
      const change = { vhost: '/', name: 't', replace: false, entries: config };
      world.do({ kind: 'configure-destination', ...change });
    }
    expect(world.setCode('t', [1, 3])).toBe('ok');
    world.fence(1);
    world.fence(3);
    expect(world.log('t')).toMatchObject({ leader: -1 });
    return world;
  }
  const allow = (world: World) => {
    const { logId, epoch } = world.log('t');
    return { kind: 'allow-unclean', logId, epoch } as const;
  };
  const elect = (world: World) => {
    const { logId, epoch } = world.log('t');
    return { kind: 'elect-unclean', logId, node: 2, epoch, isForced: false } as const;
  };

  test('is for a log without a leader, once', () => {
    const world = offline();
    expect(world.code(elect(world))).toBe('unclean-not-allowed');
    expect(world.code({ ...allow(world), epoch: 1 })).toBe('stale-epoch');
    expect(world.code({ ...allow(world), logId: 999 })).toBe('unknown-log');
    world.do(allow(world));
    expect(world.log('t').isUncleanAllowed).toBe(true);
    world.do(elect(world));
    expect(world.log('t')).toMatchObject({
      leader: 2,
      isUncleanEpoch: true,
      isUncleanAllowed: false,
    });
    expect(world.code(allow(world))).toBe('stale-epoch');
  });

  test('ends where the log is led without loss after all', () => {
    const world = offline();
    world.do(allow(world));
    world.unfence(1);
    expect(world.log('t')).toMatchObject({
      leader: 1,
      isUncleanEpoch: false,
      isUncleanAllowed: false,
    });
  });

  test('does not end what the destination allows', () => {
    const world = offline([['unclean.leader.election.enable', 'true']]);
    world.do(elect(world));
    expect(world.log('t')).toMatchObject({ leader: 2, isUncleanAllowed: true });
  });
});

// ---- Random histories -----------------------------------------------------------------------------

type Move = readonly [number, number, number];

/** One of the things that can happen to a cluster; small numbers pick the parties. */
function move(world: World, [what, a, b]: Move): MetadataCommand {
  const node = 1 + (a % 4);
  const record = world.image.node(node);
  const incarnation = record?.incarnation ?? 0;
  const logs = world.image.logs();
  const log = logs[b % Math.max(1, logs.length)];
  const lives = world.image
    .nodes()
    .map(({ id, incarnation: of }) => ({ node: id, incarnation: of }));
  switch (what % 11) {
    case 0:
      return { kind: 'fence-node', node, incarnation };
    case 1:
    case 2:
      return { kind: 'unfence-node', node, incarnation };
    case 3: {
      const bootCounter = (record?.bootCounter ?? 0) + (b % 5);
      const isRenamed = b % 2 === 0;
      return registration(node, {
        bootCounter: Math.max(1, bootCounter),
        incarnation: isRenamed ? 1000 + world.index : Math.max(1, incarnation),
        previousIncarnation: b % 3 === 0 ? 0 : incarnation,
        hasFailedSync: b % 7 === 0,
        pid: world.index,
      });
    }
    case 4:
      return { kind: 'resign-node', node, incarnation };
    case 5: {
      const life = { node, incarnation, shard: b % 2, shardIncarnation: 100 + world.index };
      return { kind: 'restart-shard', ...life };
    }
    case 6:
      return creation(`d${b % 6}`, { partitions: 1 + (a % 3), mode: a % 2 ? 'quorum' : 'auto' });
    case 7:
      return { kind: 'delete-destination', vhost: '/', name: `d${b % 6}` };
    case 8:
    case 9: {
      if (log === undefined) return { kind: 'set-setting', key: `k${a}`, value: undefined };
      const { logId, leader, epoch, partitionEpoch } = log;
      const safeSet = lives.filter((m) => m.node === leader || (a >> m.node) % 2 === 0);
      const isr = safeSet.map((m) => m.node).filter((id) => id === leader || (b >> id) % 2 === 0);
      const set = { logId, node: leader, epoch, partitionEpoch, safeSet, isr };
      return { kind: 'propose-safe-set', ...set };
    }
    default:
      return { kind: 'prefer-leaders', logIds: logs.map((each) => each.logId) };
  }
}

describe('in any history', () => {
  const moves = fc.array(fc.tuple(fc.nat(40), fc.nat(60), fc.nat(60)), {
    minLength: 40,
    maxLength: 80,
  });

  test('a leader is a live safe member, every epoch has one writer, and epochs only grow', () => {
    let elections = 0;
    const property = fc.property(moves, (history) => {
      const world = new World([1, 2, 3, 4]);
      world.do(creation('d0'));
      const writers = new Map<string, string>();
      const epochs = new Map<number, number>();
      for (const step of history) {
        world.try(move(world, step));
        // Plain checks: this runs some hundred thousand times.
        const check = (holds: boolean, rule: string) => {
          if (!holds) throw new Error(rule);
        };
        for (const log of world.image.logs()) {
          check(log.epoch >= (epochs.get(log.logId) ?? 0), 'epochs only grow');
          epochs.set(log.logId, log.epoch);
          for (const node of log.isr) {
            check(
              log.safeSet.some((member) => member.node === node),
              'the ISR is in the safe set',
            );
            check(world.image.isNodeLive(node), 'the ISR is live');
          }
          if (log.leader === -1) continue;
          check(isCandidate(world.image, log, log.leader), 'a leader is a live safe member');
          check(log.isr.includes(log.leader), 'a leader is in its ISR');
          const writer = `${log.leader}/${log.leaderIncarnation}/${log.leaderShardIncarnation}`;
          const key = `${log.logId}/${log.epoch}`;
          if (!writers.has(key)) elections += 1;
          check((writers.get(key) ?? writer) === writer, 'an epoch has one writer');
          writers.set(key, writer);
          const { shardIncarnations } = world.image.node(log.leader)!;
          check(shardIncarnations.includes(log.leaderShardIncarnation), 'the writer lives');
        }
      }
    });
    fc.assert(property, { numRuns: runs(150, 40), seed: 7 });
    expect(elections).toBeGreaterThan(runs(1_000, 250));
  });

  test('replicas that apply the same commands are equal, also from a snapshot in the middle', () => {
    const property = fc.property(moves, fc.nat(80), (history, cut) => {
      const world = new World([1, 2, 3, 4]);
      const late = new World();
      history.forEach((step, i) => {
        const command = move(world, step);
        const outcome = world.try(command);
        if (i === cut) restoreImage(late.image, snapshotImage(world.image));
        if (i > cut) {
          late.index = world.index - 1;
          expect(late.try(command)).toEqual(outcome);
          expect(late.changes).toEqual(world.changes);
        }
      });
      if (history.length <= cut) return;
      expect(hashImage(late.image)).toBe(hashImage(world.image));
      for (const node of [-1, 1, 2, 3, 4]) {
        expect(late.image.logsLedBy(node)).toEqual(world.image.logsLedBy(node));
        expect(late.image.logsOn(node)).toEqual(world.image.logsOn(node));
      }
    });
    fc.assert(property, { numRuns: runs(100, 25), seed: 11 });
  });
});

test('5,000 changes, compacted to a snapshot, bring an empty image to the same hash', () => {
  const world = new World([1, 2, 3]);
  for (let i = 0; i < 5000; i += 1) {
    if (i % 5 === 4) world.try({ kind: 'delete-destination', vhost: '/', name: `d${i - 3}` });
    else if (i % 7 === 0)
      world.do({ kind: 'set-setting', key: `k${i % 90}`, value: new Uint8Array([i]) });
    else world.try(creation(`d${i}`, { partitions: 1 + (i % 3) }));
    if (i % 500 === 0) world.fence(1 + ((i / 500) % 3));
    if (i % 500 === 250) for (const node of [1, 2, 3]) world.unfence(node);
  }
  const empty = new MetadataImage();
  restoreImage(empty, snapshotImage(world.image));
  expect(empty.version).toBe(world.index);
  expect(empty.destinations().length).toBeGreaterThan(1000);
  expect(hashImage(empty)).toBe(hashImage(world.image));
});

test('a snapshot that cannot be read is refused and changes nothing', () => {
  const world = threeWithTopic();
  const bytes = snapshotImage(world.image);
  const before = hashImage(world.image);
  for (const bad of [new Uint8Array(0), bytes.subarray(0, bytes.length - 1), new Uint8Array(50)]) {
    expect(() => restoreImage(world.image, bad)).toThrow();
    expect(hashImage(world.image)).toBe(before);
  }
});
