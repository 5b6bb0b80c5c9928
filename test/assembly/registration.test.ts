// A node registers until the metadata knows it, whatever becomes of the answers; and hears when it is not its own life
// that the metadata knows.
import { expect, test } from 'vitest';
import type { NodeIdentity } from '../../src/assembly/identity.ts';
import { Registration, type RegistrationOptions } from '../../src/assembly/registration.ts';
import type { MetadataCommand } from '../../src/cluster/metadata/index.ts';
import { encodeCommand } from '../../src/cluster/metadata/index.ts';
import {
  type ProposeAnswer,
  UNAVAILABLE,
} from '../../src/cluster/metadata-shell/metadata-protocol.ts';
import { MetadataReplica } from '../../src/cluster/metadata-shell/metadata-replica.ts';

const NODE = 1;
const LIFE = { bootCounter: 4, pid: 7 };

/** A node whose image lags behind the leader's until it is told, and whose answers may be lost. */
function node() {
  const leader = new MetadataReplica(2);
  const own = new MetadataReplica(NODE);
  const log: Uint8Array[] = [];
  const told: string[] = [];
  const asked: string[] = [];
  let isAnswerLost = false;
  let lives = [1];
  const commit = (command: MetadataCommand): ProposeAnswer => {
    const bytes = encodeCommand(command);
    log.push(bytes);
    const refused = leader.apply(bytes, log.length);
    const nothing = { code: '', message: '', difference: undefined };
    const base = { index: log.length, ...nothing };
    return refused === undefined
      ? { ...base, kind: 'done' }
      : { ...base, kind: 'refused', ...refused };
  };
  const identity: NodeIdentity = {
    clusterId: 'here',
    nodeId: NODE,
    role: 'disk',
    incarnation: 1,
    dataIncarnation: 1,
    previousIncarnation: 1,
    bootCounter: LIFE.bootCounter,
    toldAs: 0,
    toldBoot: LIFE.bootCounter - 1,
    isClean: true,
    osBootId: 'boot',
    isNewFolder: false,
  };
  let applied = 0;
  const registration = new Registration({
    system: {
      deadlines: { after: () => ({}), cancel: () => undefined },
      clock: { monotonicMs: () => 0 },
      log: { warn: () => undefined },
    },
    metadata: {
      raft: { controllerId: 2, isLeader: false },
      changeCommand: async (command: MetadataCommand) => {
        asked.push(command.kind);
        const answer = commit(command);
        return isAnswerLost ? UNAVAILABLE : answer;
      },
      registered: () => undefined,
    },
    replica: own,
    identity,
    role: 'disk',
    pid: LIFE.pid,
    endpoints: [],
    founders: [1, 2, 3],
    kinds: [],
    shards: { incarnations: () => lives, hasFailedSync: () => false, firstThread: 0 },
    onTelling: () => undefined,
    onRegistered: () => told.push('registered'),
    onRenamed: () => told.push('renamed'),
    onForgotten: () => told.push('forgotten'),
    onFailed: (error: Error) => told.push(error.message),
  } as unknown as RegistrationOptions);
  commit({
    kind: 'init-cluster',
    clusterId: 'here',
    defaults: { partitions: 1, replicationFactor: 1 },
  });
  const catchUp = () => {
    for (; applied < log.length; applied += 1) own.apply(log[applied]!, applied + 1);
  };
  catchUp();
  return {
    told,
    asked,
    commit,
    catchUp,
    loseAnswers: (is: boolean) => {
      isAnswerLost = is;
    },
    restartShard: () => {
      lives = [lives[0]! + 1];
    },
    look: async () => {
      registration.changed();
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
    },
  };
}

const life = (bootCounter: number, pid: number) =>
  ({
    kind: 'register-node',
    node: NODE,
    incarnation: 1,
    previousIncarnation: 1,
    bootCounter,
    hasFailedSync: false,
    osBootId: 'boot',
    pid,
    rack: undefined,
    endpoints: [],
    firstShardThread: 0,
    shardIncarnations: [1],
  }) as const;

test('a registration whose answer was lost and whose shard has started again since is no earlier state', async () => {
  const { told, asked, commit, catchUp, loseAnswers, restartShard, look } = node();
  commit(life(LIFE.bootCounter - 1, 5));
  catchUp();
  loseAnswers(true);
  await look();
  loseAnswers(false);
  restartShard();
  // The image here knows the life before only.
  await look();
  expect(told).toEqual([]);
  catchUp();
  await look();
  catchUp();
  await look();
  expect(told).toEqual(['registered']);
  expect(asked).toEqual(['register-node', 'register-node', 'restart-shard']);
});

test.each([
  ['a later start', LIFE.bootCounter + 1, 5],
  ['another process of the same start', LIFE.bootCounter, 5],
])('%s that is known makes this one an earlier state', async (_which, bootCounter, pid) => {
  const { told, commit, catchUp, look } = node();
  commit(life(bootCounter, pid));
  catchUp();
  await look();
  expect(told).toEqual(['forgotten']);
});

test('the same at the first word, where the image here does not know it yet', async () => {
  const { told, commit, look } = node();
  commit(life(LIFE.bootCounter, 5));
  await look();
  expect(told).toEqual(['forgotten']);
});

test('a later start that came between two words is found when the image knows it', async () => {
  const { told, commit, catchUp, loseAnswers, look } = node();
  loseAnswers(true);
  await look();
  loseAnswers(false);
  commit(life(LIFE.bootCounter + 1, 5));
  await look();
  catchUp();
  await look();
  expect(told).toEqual(['forgotten']);
});
