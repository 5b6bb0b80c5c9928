// Replicas that the controller moves by itself: away from nodes that leave, to where a dead node has been missing for
// too long, and to even shares when somebody asked or a node came. A node copies one log at a time. How long a node has
// been dead is counted by whoever leads: a new controller begins anew.

import { encodeUtf8 } from '../../std/utf8.ts';
import {
  isRebalanceRequested,
  REBALANCE,
  REBALANCE_AFTER,
  REPLACE_AFTER,
  settingOf,
} from '../metadata/cluster-settings.ts';
import type { LogRecord, MetadataCommand, MetadataImage } from '../metadata/index.ts';
import { assignedOf, isReassigning } from '../metadata/index.ts';
import { mirroredReplicas } from '../metadata/mirrors.ts';
import { countsOn, staysOnItsNode } from '../metadata/roles.ts';
import { evenMoves, Load, type Move, replacementFor } from './balance.ts';

/** Between two looks while something moves or is to move. */
const LOOK_MS = 250;
const MOVES_MAX = 20;

export interface Wish {
  readonly key: string;
  readonly command: MetadataCommand;
}

export class Moves {
  readonly #image: MetadataImage;
  /** Since when a node is seen dead, and since when one is seen without a replica. */
  readonly #deadSinceMs = new Map<number, number>();
  readonly #emptySinceMs = new Map<number, number>();
  #dueMs = Number.POSITIVE_INFINITY;
  #nextLookMs = 0;

  constructor(image: MetadataImage) {
    this.#image = image;
  }

  begin(): void {
    this.#deadSinceMs.clear();
    this.#emptySinceMs.clear();
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#nextLookMs = 0;
  }

  /** Nobody was awake for so long: as if that time had not been. */
  excuse(awayMs: number): void {
    for (const table of [this.#deadSinceMs, this.#emptySinceMs]) {
      for (const [node, sinceMs] of table) table.set(node, sinceMs + awayMs);
    }
  }

  deadlineMs(): number {
    return this.#dueMs;
  }

  decide(nowMs: number): readonly Wish[] {
    if (nowMs < this.#nextLookMs) return [];
    this.#nextLookMs = nowMs + LOOK_MS;
    this.#dueMs = Number.POSITIVE_INFINITY;
    const gone = this.#gone(nowMs);
    const load = new Load(this.#image);
    const moves = this.#awayFrom(gone, load);
    const wishes = moves.map((move): Wish => this.#wish(move));
    wishes.push(...this.#mirror(nowMs, load, new Set(moves.map(({ logId }) => logId))));
    wishes.push(...this.#even(nowMs, load, wishes.length > 0));
    if (gone.length > 0 && (wishes.length > 0 || load.busy.size > 0)) this.#due(nowMs + LOOK_MS);
    return wishes;
  }

  /** Mirrored queues that lie elsewhere than their policy says, or are not mirrored yet. */
  #mirror(nowMs: number, load: Load, chosen: ReadonlySet<number>): readonly Wish[] {
    if (!this.#image.policies.areMirroring) return [];
    const wishes: Wish[] = [];
    let isWaiting = false;
    for (const log of this.#image.logs()) {
      if (log.kind !== 'queue' || isReassigning(log) || chosen.has(log.logId)) continue;
      const replicas = mirroredReplicas(this.#image, log);
      if (replicas === undefined) continue;
      const added = replicas.filter((node) => !log.replicas.includes(node));
      isWaiting = true;
      if (wishes.length >= MOVES_MAX || added.some((node) => load.busy.has(node))) continue;
      wishes.push(this.#wish({ logId: log.logId, replicas }));
      for (const node of added) {
        load.busy.add(node);
        load.add(node, 1);
      }
    }
    if (isWaiting) this.#due(nowMs + LOOK_MS);
    return wishes;
  }

  #due(atMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, atMs);
  }

  #wish({ logId, replicas }: Move): Wish {
    const { partitionEpoch } = this.#image.log(logId)!;
    const command = { kind: 'move-log', logId, replicas, partitionEpoch } as const;
    return { key: `reassign/${logId}`, command };
  }

  /** Nodes whose replicas go elsewhere: those that leave first. */
  #gone(nowMs: number): readonly number[] {
    const afterMs = settingOf(this.#image, REPLACE_AFTER);
    const leaving: number[] = [];
    const dead: number[] = [];
    const known = new Set<number>();
    for (const { id, isFenced, isLeaving } of this.#image.nodes()) {
      known.add(id);
      if (isLeaving) leaving.push(id);
      if (!isFenced) this.#deadSinceMs.delete(id);
      else if (!this.#deadSinceMs.has(id)) this.#deadSinceMs.set(id, nowMs);
      const sinceMs = this.#deadSinceMs.get(id);
      if (sinceMs === undefined || afterMs === 0 || isLeaving) continue;
      if (nowMs - sinceMs >= afterMs) dead.push(id);
      else this.#due(sinceMs + afterMs);
    }
    for (const id of [...this.#deadSinceMs.keys()])
      if (!known.has(id)) this.#deadSinceMs.delete(id);
    return [...leaving, ...dead];
  }

  #awayFrom(gone: readonly number[], load: Load): readonly Move[] {
    const moves: Move[] = [];
    const chosen = new Set<number>();
    const room = () => this.#image.placeableNodes().some(({ id }) => !load.busy.has(id));
    for (const node of gone) {
      // What is copied into memory goes nowhere else.
      const isCopying = this.#image.node(node)?.role === 'ram';
      const mayGo = () => isCopying || room();
      if (!mayGo()) break;
      for (const logId of this.#image.logsOn(node)) {
        if (moves.length >= MOVES_MAX || !mayGo()) break;
        const log = this.#image.log(logId)!;
        if (chosen.has(logId) || !this.#mustMove(log, node)) continue;
        const move = countsOn(this.#image, log, node)
          ? replacementFor(this.#image, log, node, load)
          : this.#withoutCopy(log, node);
        if (move === undefined) continue;
        chosen.add(logId);
        moves.push(move);
        for (const to of move.replicas) {
          if (log.replicas.includes(to)) continue;
          load.busy.add(to);
          load.add(to, 1);
        }
      }
    }
    return moves;
  }

  /** A RAM node that is dead will copy the log again when it comes back; one that leaves will not. */
  #withoutCopy(log: LogRecord, node: number): Move | undefined {
    if (this.#image.node(node)?.isLeaving !== true) return undefined;
    return { logId: log.logId, replicas: assignedOf(log).filter((other) => other !== node) };
  }

  /** Not while it moves already, but for one that was to come and is gone itself; nor while nobody can give it. */
  #mustMove(log: LogRecord, node: number): boolean {
    if (log.removing.includes(node) || log.leader < 0) return false;
    if (isReassigning(log) && !log.adding.includes(node)) return false;
    return !staysOnItsNode(this.#image, log);
  }

  #even(nowMs: number, load: Load, isBusy: boolean): readonly Wish[] {
    if (!isRebalanceRequested(this.#image)) return this.#forNewcomers(nowMs);
    this.#due(nowMs + LOOK_MS);
    if (isBusy) return [];
    const moves = evenMoves(this.#image, load, MOVES_MAX);
    if (moves.length > 0) return moves.map((move) => this.#wish(move));
    if (this.#image.reassigningLogs().length > 0) return [];
    return [{ key: REBALANCE, command: { kind: 'set-setting', key: REBALANCE, value: undefined } }];
  }

  /** A node that has been there for a while and has nothing gets its share. */
  #forNewcomers(nowMs: number): readonly Wish[] {
    const afterMs = settingOf(this.#image, REBALANCE_AFTER);
    const nodes = this.#image.placeableNodes();
    const total = nodes.reduce((sum, { id }) => sum + this.#image.hostedCount(id), 0);
    let isDue = false;
    for (const { id } of nodes) {
      if (this.#image.hostedCount(id) > 0 || total < nodes.length || afterMs === 0) {
        this.#emptySinceMs.delete(id);
        continue;
      }
      const sinceMs = this.#emptySinceMs.get(id) ?? nowMs;
      this.#emptySinceMs.set(id, sinceMs);
      if (nowMs - sinceMs >= afterMs) isDue = true;
      else this.#due(sinceMs + afterMs);
    }
    if (!isDue) return [];
    this.#emptySinceMs.clear();
    const value = encodeUtf8('requested');
    return [{ key: REBALANCE, command: { kind: 'set-setting', key: REBALANCE, value } }];
  }
}
