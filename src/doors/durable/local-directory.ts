// What a log host must know of the metadata where there is none: every log of the folder has one replica, here,
// and every opening of the folder leads all of them in a new epoch.
import type { Directory, LogsChange } from '../../cluster/replica/directory.ts';
import type { NamedLog, Registry } from './registry.ts';

export const LOCAL_NODE = 1;
const THREAD = 0;
const INCARNATION = 1;
const REPLICA = { node: LOCAL_NODE, incarnation: INCARNATION };

export class LocalDirectory implements Directory {
  readonly isRegistered = true;
  readonly version = 0;
  readonly incarnation = INCARNATION;
  readonly #registry: Registry;
  #tell: (change: LogsChange) => void = () => undefined;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  logsOfShard() {
    return this.#registry.logs().map(({ logId }) => logId);
  }

  spec(logId: number) {
    const log = this.#registry.log(logId);
    return log === undefined ? undefined : specOf(log);
  }

  assignment(logId: number) {
    if (this.#registry.log(logId) === undefined) return undefined;
    const epoch = this.#registry.opened;
    const writer = { nodeIncarnation: INCARNATION, shardIncarnation: epoch };
    const lead = {
      writer,
      grant: { epoch, unclean: false, ...writer },
      replicas: [LOCAL_NODE],
      safeSet: [REPLICA],
      isr: [LOCAL_NODE],
      partitionEpoch: 0,
      mode: 'all' as const,
      minInsync: 1,
      live: [REPLICA],
    };
    const rules = { durability: 'sync', standing: 'alone' } as const;
    return { epoch, leader: LOCAL_NODE, unclean: false, lead, live: [REPLICA], ...rules };
  }

  threadOf(node: number): number | undefined {
    return node === LOCAL_NODE ? THREAD : undefined;
  }

  isDeleted(logId: number): boolean {
    return this.#registry.log(logId) === undefined;
  }

  copyRate(): number {
    return 0;
  }

  /** There are no others. */
  lagSettings(): { timeMaxMs: number; recordsMax: number } {
    return { timeMaxMs: 10_000, recordsMax: 0 };
  }

  leftKind(): undefined {
    return undefined;
  }

  onLogsChanged(handle: (change: LogsChange) => void): () => void {
    this.#tell = handle;
    return () => {
      this.#tell = () => undefined;
    };
  }

  added(logId: number): void {
    this.#tell({ changed: [logId], elsewhere: [], deleted: [], isReplaced: false });
  }

  removed(logId: number): void {
    this.#tell({ changed: [], elsewhere: [], deleted: [logId], isReplaced: false });
  }
}

function specOf({ logId, kind, name }: NamedLog) {
  return { logId, kind, name, durability: 'sync' as const };
}
