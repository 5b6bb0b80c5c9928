// Turns metadata changes into the two things a launcher reports: a node is gone and its leaders moved,
// and a node is back and in sync. Only the metadata leader speaks, so that each is said once.
import type { MetadataChange } from '../cluster/metadata/commands.ts';
import type { MetadataImage } from '../cluster/metadata/image.ts';
import { countsOn } from '../cluster/metadata/roles.ts';
import type { NodeEvent } from './node-config.ts';

export class Watcher {
  readonly #image: MetadataImage;
  readonly #tell: (event: NodeEvent) => void;
  /** Leaders before the last change, to see what moved away from whom. */
  readonly #leaders = new Map<number, number>();
  readonly #fenced = new Set<number>();
  readonly #behind = new Set<number>();
  /** The life of each node as last seen: one that starts again quickly is never seen fenced. */
  readonly #lives = new Map<number, string>();

  constructor(image: MetadataImage, tell: (event: NodeEvent) => void) {
    this.#image = image;
    this.#tell = tell;
  }

  changed(changes: readonly MetadataChange[], isSpeaker: boolean): void {
    const moved = new Map<number, number>();
    for (const change of changes) {
      if (change.kind === 'log-deleted') this.#leaders.delete(change.logId);
      if (change.kind !== 'log-created' && change.kind !== 'log-changed') continue;
      const log = this.#image.log(change.logId);
      if (log === undefined) continue;
      const before = this.#leaders.get(log.logId);
      this.#leaders.set(log.logId, log.leader);
      if (before !== undefined && before !== log.leader && log.leader >= 0) {
        moved.set(before, (moved.get(before) ?? 0) + 1);
      }
    }
    for (const node of this.#image.nodes()) {
      const life = `${node.incarnation}/${node.bootCounter}/${node.pid}`;
      const before = this.#lives.get(node.id);
      this.#lives.set(node.id, life);
      if (before === undefined && node.isFenced) {
        // Registered and not there yet: who has not come cannot have left.
        this.#fenced.add(node.id);
        this.#behind.add(node.id);
        continue;
      }
      if (before !== undefined && before !== life) this.#left(node.id, moved, isSpeaker);
      this.#watchNode(node.id, node.isFenced, moved, isSpeaker);
    }
  }

  /** Said once per absence, whether it shows as a fence or as a new life. */
  #left(id: number, moved: ReadonlyMap<number, number>, isSpeaker: boolean): void {
    if (this.#behind.has(id)) return;
    this.#behind.add(id);
    if (isSpeaker) this.#tell({ event: 'leadersMoved', node: id, count: moved.get(id) ?? 0 });
  }

  #watchNode(
    id: number,
    isFenced: boolean,
    moved: ReadonlyMap<number, number>,
    isSpeaker: boolean,
  ): void {
    if (isFenced) {
      if (!this.#fenced.has(id)) this.#left(id, moved, isSpeaker);
      this.#fenced.add(id);
      return;
    }
    this.#fenced.delete(id);
    if (!this.#behind.has(id)) return;
    const image = this.#image;
    const isBehind = image.logsOn(id).some((logId) => {
      const log = image.log(logId);
      return log !== undefined && !log.isr.includes(id) && countsOn(image, log, id);
    });
    if (isBehind) return;
    this.#behind.delete(id);
    if (isSpeaker) this.#tell({ event: 'inSync', node: id });
  }
}
