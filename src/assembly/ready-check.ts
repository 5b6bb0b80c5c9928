// Ready means that it works: a metadata leader is known, this node votes on metadata, it and every other node of the
// cluster is registered and unfenced, and a record written to a replicated log was committed and read back.
import type { Ref } from '../actors/ref.ts';
import type { System } from '../actors/system.ts';
import { LogClient } from '../broker/access/log-client.ts';
import { PROBE_DESTINATION } from '../broker/destination/kinds.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import type { LogHostOps } from '../cluster/ports.ts';
import { baseOffset } from '../records/batch.ts';
import { encodeBatch } from '../records/records.ts';
import { encodeUtf8 } from '../std/bytes.ts';

const POLL_MS = 20;
const TRY_MS = 2_000;

export interface ReadyCheckOptions {
  readonly system: System;
  readonly replica: MetadataReplica;
  readonly nodes: readonly number[];
  refOf(node: number, logId: number): Ref<LogHostOps> | undefined;
  /** In the metadata group: a newcomer does not count for its quorum before it votes. */
  isSeated(): boolean;
  /** This very process: metadata that is read again tells of nodes, and of this one, as they were. */
  isRegistered(): boolean;
  isStopped(): boolean;
}

export class ReadyCheck {
  readonly #options: ReadyCheckOptions;
  readonly client: LogClient;

  constructor(options: ReadyCheckOptions) {
    this.#options = options;
    const { view } = options.replica;
    this.client = new LogClient(
      options.system,
      (logId) => {
        const leader = view.log(logId)?.leader ?? -1;
        return leader < 0 ? undefined : options.refOf(leader, logId);
      },
      'ready-check',
    );
  }

  /** Resolves when the node is ready, or when it is stopped. */
  async wait(): Promise<void> {
    while (!this.#options.isStopped()) {
      if (this.#isComplete() && (await this.#writeAndRead())) return;
      await new Promise<void>((resolve) =>
        this.#options.system.deadlines.after(POLL_MS, () => resolve()),
      );
    }
  }

  #isComplete(): boolean {
    const { replica, nodes, isSeated, isRegistered } = this.#options;
    if (replica.view.controllerId < 0 || !isSeated() || !isRegistered()) return false;
    // Those that were taken out since the cluster was founded come no more.
    const { image } = replica;
    return nodes.every((id) => image.isNodeLive(id) || image.removedIncarnation(id) !== undefined);
  }

  async #writeAndRead(): Promise<boolean> {
    const { system, replica } = this.#options;
    const log = replica.view.destination(PROBE_DESTINATION)?.logs[0];
    if (log === undefined || log.leader < 0) return false;
    const crc32c = system.env.crc32c.bind(system.env);
    const timestampMs = Math.floor(system.clock.wallMs());
    const value = encodeUtf8(`node ${replica.view.nodeId} is ready`);
    const batch = encodeBatch([{ timestampMs, key: null, value }], crc32c);
    const appended = await this.client.append(log.logId, batch, 'committed', TRY_MS);
    if (appended?.result !== 'ok') return false;
    const fetched = await this.client.fetch(log.logId, appended.baseOffset, 4096, TRY_MS);
    if (fetched === undefined) return false;
    const slice = fetched.slices[0];
    const first = slice?.kind === 'memory' ? baseOffset(slice.bytes, 0) : undefined;
    const isBack =
      fetched.result === 'ok' && (slice?.kind === 'file' || first === appended.baseOffset);
    fetched.release();
    return isBack;
  }
}
