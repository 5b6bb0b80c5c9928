// The metadata image: what the committed prefix of the metadata log adds up to, with the look-ups
// that shells need. Changed only by apply. Invariant: derived tables follow from the records, and
// every iteration that leaves this file is sorted, never in order of insertion.
import { toHex } from '../../std/bytes.ts';
import { AccessImage } from './access-image.ts';
import { PolicyImage } from './policy-image.ts';
import { RoutingImage } from './routing-image.ts';
import { ownerKey, type QueueOwner } from './routing-types.ts';
import {
  type ClusterDefaults,
  type DestinationRecord,
  isLive,
  type LogRecord,
  NO_NODE,
  type NodeRecord,
  type RemovedNode,
} from './types.ts';

const FACTORY_DEFAULTS: ClusterDefaults = { partitions: 3, replicationFactor: -1 };

function destinationKey(vhost: string, name: string): string {
  return `${vhost}\u0000${name}`;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export class MetadataImage {
  /** Index of the last applied entry. */
  version = 0;
  clusterId = '';
  defaults: ClusterDefaults = FACTORY_DEFAULTS;
  nextLogId = 1;
  /** Logs ever placed by the cluster: `i` of the placement rule. */
  placedLogs = 0;
  /** Exchanges and bindings. */
  readonly routing = new RoutingImage();
  readonly policies = new PolicyImage();
  /** Vhosts, users and permissions. */
  readonly access = new AccessImage();
  readonly #nodes = new Map<number, NodeRecord>();
  readonly #destinations = new Map<string, DestinationRecord>();
  readonly #logs = new Map<number, LogRecord>();
  readonly #settings = new Map<string, Uint8Array>();
  /** Last incarnation of nodes that were taken out. */
  readonly #removed = new Map<number, number>();
  // Derived.
  readonly #byTopicId = new Map<string, string>();
  readonly #owned = new Map<string, Set<string>>();
  readonly #led = new Map<number, Set<number>>();
  readonly #hosted = new Map<number, Set<number>>();
  readonly #reassigning = new Set<number>();
  /** Names of durable actors, by vhost. */
  readonly #actors = new Map<string, Set<string>>();
  #actorCount = 0;
  #sortedDestinations: readonly DestinationRecord[] | undefined;
  #sortedNodes: readonly NodeRecord[] | undefined;

  // ---- Questions -------------------------------------------------------------------------------

  node(id: number): NodeRecord | undefined {
    return this.#nodes.get(id);
  }

  /** In order of id. */
  nodes(): readonly NodeRecord[] {
    this.#sortedNodes ??= [...this.#nodes.values()].sort((a, b) => a.id - b.id);
    return this.#sortedNodes;
  }

  liveNodes(): readonly NodeRecord[] {
    return this.nodes().filter(isLive);
  }

  /** Who is given replicas where nobody says who: disk nodes. */
  placeableNodes(): readonly NodeRecord[] {
    return this.nodes().filter((node) => {
      return isLive(node) && !node.isLeaving && node.role === 'disk';
    });
  }

  /** The last name of its data, of a node that was taken out of the cluster. */
  removedIncarnation(id: number): number | undefined {
    return this.#removed.get(id);
  }

  /** In order of id. */
  removedNodes(): readonly RemovedNode[] {
    return [...this.#removed]
      .map(([id, incarnation]) => ({ id, incarnation }))
      .sort((a, b) => a.id - b.id);
  }

  isNodeLive(id: number): boolean {
    return isLive(this.#nodes.get(id));
  }

  destination(vhost: string, name: string): DestinationRecord | undefined {
    return this.#destinations.get(destinationKey(vhost, name));
  }

  destinationByTopicId(topicId: Uint8Array): DestinationRecord | undefined {
    const key = this.#byTopicId.get(toHex(topicId));
    return key === undefined ? undefined : this.#destinations.get(key);
  }

  /** In order of vhost, then name (by UTF-16 unit). */
  destinations(): readonly DestinationRecord[] {
    this.#sortedDestinations ??= [...this.#destinations.values()].sort(
      (a, b) => compareText(a.vhost, b.vhost) || compareText(a.name, b.name),
    );
    return this.#sortedDestinations;
  }

  /** The exclusive queues of a connection, in order of key. */
  ownedBy(owner: QueueOwner): readonly DestinationRecord[] {
    const keys = [...(this.#owned.get(ownerKey(owner)) ?? [])].sort();
    return keys.map((key) => this.#destinations.get(key)!);
  }

  /** Sorted. */
  actorsIn(vhost: string): readonly string[] {
    return [...(this.#actors.get(vhost) ?? [])].sort(compareText);
  }

  get actorCount(): number {
    return this.#actorCount;
  }

  log(logId: number): LogRecord | undefined {
    return this.#logs.get(logId);
  }

  /** In order of id. */
  logs(): readonly LogRecord[] {
    return [...this.#logs.values()].sort((a, b) => a.logId - b.logId);
  }

  /** The id was given and its log was deleted by a committed command: its data may go. */
  isDeleted(logId: number): boolean {
    return logId < this.nextLogId && !this.#logs.has(logId);
  }

  /** Ids of the logs that a node leads, ascending. */
  logsLedBy(node: number): readonly number[] {
    return [...(this.#led.get(node) ?? [])].sort((a, b) => a - b);
  }

  ledCount(node: number): number {
    return this.#led.get(node)?.size ?? 0;
  }

  /** How many logs have a replica on a node, those that leave it included. */
  hostedCount(node: number): number {
    return this.#hosted.get(node)?.size ?? 0;
  }

  /** Ids of the logs with a replica on a node, ascending. */
  logsOn(node: number): readonly number[] {
    return [...(this.#hosted.get(node) ?? [])].sort((a, b) => a - b);
  }

  /** Ids of the logs without a leader, ascending. */
  offlineLogs(): readonly number[] {
    return this.logsLedBy(NO_NODE);
  }

  /** Ids of the logs whose replicas are changing, ascending. */
  reassigningLogs(): readonly number[] {
    return [...this.#reassigning].sort((a, b) => a - b);
  }

  setting(key: string): Uint8Array | undefined {
    return this.#settings.get(key);
  }

  /** In order of key. */
  settings(): readonly (readonly [string, Uint8Array])[] {
    return [...this.#settings].sort(([a], [b]) => compareText(a, b));
  }

  // ---- Changes: for apply and restore only -----------------------------------------------------

  putNode(node: NodeRecord): void {
    this.#nodes.set(node.id, node);
    this.#sortedNodes = undefined;
  }

  removeNode(id: number): void {
    this.#nodes.delete(id);
    this.#sortedNodes = undefined;
  }

  /** Undefined: forgotten, the number is free. */
  putRemoved(id: number, incarnation: number | undefined): void {
    if (incarnation === undefined) this.#removed.delete(id);
    else this.#removed.set(id, incarnation);
  }

  putDestination(destination: DestinationRecord): void {
    const key = destinationKey(destination.vhost, destination.name);
    this.#destinations.set(key, destination);
    this.#byTopicId.set(toHex(destination.topicId), key);
    const owner = destination.queue?.owner;
    if (owner !== undefined) member(this.#owned, ownerKey(owner)).add(key);
    if (destination.kind === 'actor') {
      const names = member(this.#actors, destination.vhost);
      if (!names.has(destination.name)) this.#actorCount += 1;
      names.add(destination.name);
    }
    this.#sortedDestinations = undefined;
  }

  removeDestination(destination: DestinationRecord): void {
    const key = destinationKey(destination.vhost, destination.name);
    this.#destinations.delete(key);
    this.#byTopicId.delete(toHex(destination.topicId));
    const owner = destination.queue?.owner;
    if (owner !== undefined) this.#leaveOwner(ownerKey(owner), key);
    if (this.#actors.get(destination.vhost)?.delete(destination.name)) this.#actorCount -= 1;
    this.#sortedDestinations = undefined;
  }

  #leaveOwner(owner: string, key: string): void {
    const owned = this.#owned.get(owner);
    owned?.delete(key);
    if (owned?.size === 0) this.#owned.delete(owner);
  }

  putLog(log: LogRecord): void {
    const old = this.#logs.get(log.logId);
    this.#logs.set(log.logId, log);
    if (old?.leader !== log.leader) {
      if (old !== undefined) this.#led.get(old.leader)?.delete(log.logId);
      member(this.#led, log.leader).add(log.logId);
    }
    if (old?.replicas !== log.replicas) {
      for (const node of old?.replicas ?? []) this.#hosted.get(node)?.delete(log.logId);
      for (const node of log.replicas) member(this.#hosted, node).add(log.logId);
    }
    if (log.adding.length + log.removing.length > 0) this.#reassigning.add(log.logId);
    else this.#reassigning.delete(log.logId);
  }

  removeLog(log: LogRecord): void {
    this.#logs.delete(log.logId);
    this.#reassigning.delete(log.logId);
    this.#led.get(log.leader)?.delete(log.logId);
    for (const node of log.replicas) this.#hosted.get(node)?.delete(log.logId);
  }

  putSetting(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) this.#settings.delete(key);
    else this.#settings.set(key, value);
  }

  /** Back to the empty image, in place: references to it stay good. */
  clear(): void {
    this.version = 0;
    this.clusterId = '';
    this.defaults = FACTORY_DEFAULTS;
    this.nextLogId = 1;
    this.placedLogs = 0;
    for (const table of [this.#nodes, this.#destinations, this.#logs, this.#settings])
      table.clear();
    for (const table of [this.#byTopicId, this.#owned, this.#led, this.#hosted]) table.clear();
    this.#removed.clear();
    this.#reassigning.clear();
    this.#actors.clear();
    this.#actorCount = 0;
    this.routing.clear();
    this.policies.clear();
    this.access.clear();
    this.#sortedDestinations = undefined;
    this.#sortedNodes = undefined;
  }
}

function member<K, V>(table: Map<K, Set<V>>, key: K): Set<V> {
  let members = table.get(key);
  if (members === undefined) {
    members = new Set();
    table.set(key, members);
  }
  return members;
}
