// Helpers for tests that drive one core by hand: configurations with plain defaults, hellos, and
// outputs picked by kind. Frames are named by chains that depend on seq and epoch only.
import { FollowerCore } from '../../src/replication/follower-core.ts';
import { LeaderCore } from '../../src/replication/leader-core.ts';
import type {
  FollowerConfig,
  FollowerOutput,
  Hello,
  LeaderConfig,
  LeaderOutput,
  ReplicaLog,
} from '../../src/replication/types.ts';

export const chainOf = (seq: number, epoch: number): number =>
  seq === 0 ? 0 : epoch * 1_000 + seq;

/** A log whose frames 1..endSeq were written by these epochs. */
export function logOf(
  epochs: readonly (readonly [epoch: number, firstSeq: number])[],
  endSeq: number,
  rest: Partial<ReplicaLog> = {},
): ReplicaLog {
  const lastEpoch = epochs.at(-1)?.[0] ?? 0;
  return {
    endSeq,
    endChain: chainOf(endSeq, lastEpoch),
    durableSeq: endSeq,
    committedSeq: 0,
    firstFrameSeq: 1,
    epochs: epochs.map(([epoch, firstSeq]) => ({ epoch, firstSeq })),
    ...rest,
  };
}

export const EMPTY_LOG: ReplicaLog = logOf([], 0);
export const members = (...nodes: number[]) => nodes.map((node) => ({ node, incarnation: 1 }));

/** Node 1 leads epoch 1 of a log on nodes 1, 2, 3. */
export function leader(rest: Partial<LeaderConfig> = {}): LeaderCore {
  const epoch = rest.grant?.epoch ?? 1;
  return new LeaderCore({
    logId: 7,
    self: { node: 1, incarnation: 1 },
    writer: { nodeIncarnation: 4, shardIncarnation: 9 },
    grant: { epoch, nodeIncarnation: 4, shardIncarnation: 9, unclean: false },
    replicas: [1, 2, 3],
    safeSet: members(1, 2, 3),
    isr: [1, 2, 3],
    partitionEpoch: 1,
    mode: 'all',
    minInsync: 2,
    log: EMPTY_LOG,
    live: members(1, 2, 3),
    nowMs: 0,
    ...rest,
  });
}

export const grantOf = (epoch: number, unclean = false) => ({
  epoch,
  nodeIncarnation: 4,
  shardIncarnation: 9,
  unclean,
});

export function follower(rest: Partial<FollowerConfig> = {}): FollowerCore {
  return new FollowerCore({
    logId: 7,
    self: { node: 2, incarnation: 1 },
    log: EMPTY_LOG,
    promisedEpoch: 0,
    ...rest,
  });
}

export function helloOf(
  node: number,
  epoch: number,
  log: ReplicaLog = EMPTY_LOG,
  incarnation = 1,
): Hello {
  return {
    from: { node, incarnation },
    epoch,
    helloNo: 1,
    committedSeq: log.committedSeq,
    endSeq: log.endSeq,
    durableSeq: log.durableSeq,
    firstFrameSeq: log.firstFrameSeq,
    tail: log.epochs.map((start, i) => ({
      epoch: start.epoch,
      lastSeq: (log.epochs[i + 1]?.firstSeq ?? log.endSeq + 1) - 1,
    })),
  };
}

/** Appends the next frame and makes it durable on the leader. */
export function write(core: LeaderCore, isDurable = true): number {
  const seq = core.endSeq + 1;
  core.appended(seq, core.epoch, chainOf(seq, core.epoch));
  if (isDurable) core.localDurable(seq);
  return seq;
}

export function ack(core: LeaderCore, node: number, seq: number, incarnation = 1): void {
  core.ack(node, incarnation, core.epoch, seq, -1);
}

/** An active leader: both followers said hello and hold the epoch-begin. */
export function activeLeader(rest: Partial<LeaderConfig> = {}): LeaderCore {
  const core = leader(rest);
  for (const node of [2, 3]) core.hello(helloOf(node, core.epoch, rest.log));
  const begin = write(core);
  for (const node of [2, 3]) ack(core, node, begin);
  core.take();
  return core;
}

export function only<K extends LeaderOutput['kind']>(
  outputs: readonly LeaderOutput[],
  kind: K,
): Extract<LeaderOutput, { kind: K }>[] {
  return outputs.filter(
    (output): output is Extract<LeaderOutput, { kind: K }> => output.kind === kind,
  );
}

export function onlyOf<K extends FollowerOutput['kind']>(
  outputs: readonly FollowerOutput[],
  kind: K,
): Extract<FollowerOutput, { kind: K }>[] {
  return outputs.filter(
    (output): output is Extract<FollowerOutput, { kind: K }> => output.kind === kind,
  );
}
