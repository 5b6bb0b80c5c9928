// A metadata image under test, and short words for the commands.
import type { LeaderPlan } from '../../../src/cluster/controller/index.ts';
import {
  applyCommand,
  type CreateDestinationCommand,
  decodeCommand,
  encodeCommand,
  type LogRecord,
  type MetadataChange,
  type MetadataCommand,
  MetadataImage,
  type Outcome,
  type RegisterNode,
} from '../../../src/cluster/metadata/index.ts';

export function registration(node: number, over: Partial<RegisterNode> = {}): RegisterNode {
  return {
    kind: 'register-node',
    node,
    incarnation: 100 + node,
    previousIncarnation: 0,
    bootCounter: 1,
    hasFailedSync: false,
    osBootId: 'os-1',
    pid: 1000 + node,
    rack: undefined,
    endpoints: [{ listener: 'kafka', host: '127.0.0.1', port: 9000 + node }],
    firstShardThread: 1,
    shardIncarnations: [1, 2],
    ...over,
  };
}

export function topicId(n: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(12, n + 1);
  return id;
}

export function creation(
  name: string,
  over: Partial<CreateDestinationCommand> = {},
): CreateDestinationCommand {
  const id = [...name].reduce((hash, c) => (Math.imul(hash, 31) + c.charCodeAt(0)) >>> 0, 7);
  return {
    kind: 'create-destination',
    vhost: '/',
    name,
    topicId: topicId(id),
    logKind: 'partition',
    partitions: 3,
    replicationFactor: -1,
    minInsync: -1,
    mode: 'auto',
    isInternal: false,
    config: [],
    assignments: [],
    ...over,
  };
}

export class World {
  readonly image = new MetadataImage();
  index = 0;
  changes: readonly MetadataChange[] = [];

  constructor(nodes: readonly number[] = []) {
    for (const node of nodes) this.join(node);
  }

  /** Every command goes through its bytes. */
  try(command: MetadataCommand): Outcome {
    this.index += 1;
    const applied = applyCommand(this.image, decodeCommand(encodeCommand(command)), this.index);
    this.changes = applied.changes;
    return applied.outcome;
  }

  do(command: MetadataCommand): readonly MetadataChange[] {
    const outcome = this.try(command);
    if (outcome.kind !== 'ok') throw new Error(`${command.kind}: ${outcome.code}`);
    return this.changes;
  }

  /** The code of the refusal, or 'ok'. */
  code(command: MetadataCommand): string {
    const outcome = this.try(command);
    return outcome.kind === 'ok' ? 'ok' : outcome.code;
  }

  join(node: number, over: Partial<RegisterNode> = {}): void {
    this.do(registration(node, over));
    this.unfence(node);
  }

  unfence(node: number): void {
    this.do({ kind: 'unfence-node', node, incarnation: this.incarnation(node) });
  }

  fence(node: number): readonly MetadataChange[] {
    return this.do({ kind: 'fence-node', node, incarnation: this.incarnation(node) });
  }

  incarnation(node: number): number {
    return this.image.node(node)!.incarnation;
  }

  log(name: string, partition = 0): LogRecord {
    return this.image.log(this.image.destination('/', name)!.logIds[partition])!;
  }

  /** Leaders that hold everything that the others hold do as they are planned to. */
  handOver(plans: readonly LeaderPlan[]): void {
    for (const { logId, epoch, leader, target } of plans) {
      const partitionEpoch = this.image.log(logId)?.partitionEpoch ?? -1;
      const moves = [{ logId, epoch, partitionEpoch, to: target }];
      this.do({ kind: 'move-leaders', node: leader, moves });
    }
  }

  /** The leader's proposal against the record as it is. */
  setCode(name: string, nodes: readonly number[], isr: readonly number[] = nodes): string {
    const { logId, leader, epoch, partitionEpoch } = this.log(name);
    const safeSet = nodes.map((node) => ({ node, incarnation: this.incarnation(node) }));
    const command = { logId, node: leader, epoch, partitionEpoch, safeSet, isr };
    return this.code({ kind: 'propose-safe-set', ...command });
  }
}
