// The read-only view of the metadata image that brokers, protocols and the admin room see. Views of
// destinations and nodes are built when asked for and kept until the image changes.
import { DEFAULT_VHOST } from '../metadata/access-types.ts';
import type { MetadataChange } from '../metadata/commands.ts';
import { READ_FROM } from '../metadata/destination-config.ts';
import type { MetadataImage } from '../metadata/image.ts';
import { mirrorsOf } from '../metadata/mirrors.ts';
import { observersOf } from '../metadata/roles.ts';
import { BUILT_IN_EXCHANGES, deliveryLimitIn } from '../metadata/routing-types.ts';
import {
  type DestinationRecord,
  isLive,
  type LogRecord,
  type NodeRecord,
} from '../metadata/types.ts';
import type {
  AccessView,
  BindingView,
  DestinationView,
  ExchangeView,
  LogListener,
  LogView,
  MetadataView,
  NamesView,
  NodeView,
  PolicyRecord,
  RouteListener,
} from '../ports.ts';
import { routeChanges } from './route-changes.ts';

export class ImageView implements MetadataView {
  readonly nodeId: number;
  controllerId = -1;
  routesVersion = 0;
  readonly #image: MetadataImage;
  readonly #listeners = new Set<() => void>();
  readonly #routeListeners = new Set<RouteListener>();
  readonly #logListeners = new Set<LogListener>();
  readonly #accessListeners = new Set<() => void>();
  #accessVersion = 0;
  #builtAt = -1;
  #nodes: readonly NodeView[] | undefined;
  #all: readonly DestinationView[] | undefined;
  /** By vhost; asked for of those that are there, or were. */
  readonly #names = new Map<string, NamesView>();
  /** By vhost and name. */
  readonly #byName = new Map<string, DestinationView>();
  /** Destinations whose readers look for a replica near them. */
  #readFromReplicas = new Set<string>();

  constructor(image: MetadataImage, nodeId: number) {
    this.#image = image;
    this.nodeId = nodeId;
  }

  get clusterId(): string {
    return this.#image.clusterId;
  }

  get version(): number {
    return this.#image.version;
  }

  nodes(): readonly NodeView[] {
    this.#refresh();
    this.#nodes ??= this.#image.nodes().map(nodeView);
    return this.#nodes;
  }

  node(id: number): NodeView | undefined {
    return this.nodes().find((node) => node.id === id);
  }

  in(vhost: string): NamesView {
    const known = this.#names.get(vhost);
    if (known !== undefined) return known;
    const names: NamesView = {
      destinations: () => this.#destinationsIn(vhost),
      destination: (name) => this.#destinationIn(vhost, name),
      exchange: (name) => this.#image.routing.exchange(vhost, name),
      exchanges: () => this.#exchangesIn(vhost),
      bindingsFrom: (source) => this.#image.routing.bindingsFrom(vhost, source),
      bindingsTo: (kind, target) => this.#image.routing.bindingsTo(vhost, kind, target),
    };
    this.#names.set(vhost, names);
    return names;
  }

  destinations(): readonly DestinationView[] {
    this.#refresh();
    this.#all ??= this.#destinationsIn(DEFAULT_VHOST);
    return this.#all;
  }

  destination(name: string): DestinationView | undefined {
    return this.#destinationIn(DEFAULT_VHOST, name);
  }

  #destinationsIn(vhost: string): readonly DestinationView[] {
    this.#refresh();
    return this.#image
      .destinations()
      .filter((each) => each.vhost === vhost)
      .map((each) => this.#viewOf(each));
  }

  #destinationIn(vhost: string, name: string): DestinationView | undefined {
    this.#refresh();
    const found = this.#image.destination(vhost, name);
    return found === undefined ? undefined : this.#viewOf(found);
  }

  destinationById(id: Uint8Array): DestinationView | undefined {
    this.#refresh();
    const found = this.#image.destinationByTopicId(id);
    return found?.vhost === DEFAULT_VHOST ? this.#viewOf(found) : undefined;
  }

  log(logId: number): LogView | undefined {
    const log = this.#image.log(logId);
    if (log === undefined) return undefined;
    return this.#logView(log, this.#image.destination(log.vhost, log.destination));
  }

  onChange(handle: () => void): () => void {
    this.#listeners.add(handle);
    return () => {
      this.#listeners.delete(handle);
    };
  }

  onLogs(handle: LogListener): () => void {
    this.#logListeners.add(handle);
    return () => {
      this.#logListeners.delete(handle);
    };
  }

  exchange(name: string): ExchangeView | undefined {
    return this.#image.routing.exchange(DEFAULT_VHOST, name);
  }

  exchanges(): readonly ExchangeView[] {
    return this.#exchangesIn(DEFAULT_VHOST);
  }

  #exchangesIn(vhost: string): readonly ExchangeView[] {
    const { routing } = this.#image;
    const builtIn = BUILT_IN_EXCHANGES.map((name) => routing.exchange(vhost, name)!);
    const stored = routing.exchanges().filter((exchange) => exchange.vhost === vhost);
    return [...builtIn, ...stored].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  bindingsFrom(source: string): readonly BindingView[] {
    return this.#image.routing.bindingsFrom(DEFAULT_VHOST, source);
  }

  bindingsTo(kind: BindingView['targetKind'], target: string): readonly BindingView[] {
    return this.#image.routing.bindingsTo(DEFAULT_VHOST, kind, target);
  }

  onRoutes(handle: RouteListener): () => void {
    this.#routeListeners.add(handle);
    return () => {
      this.#routeListeners.delete(handle);
    };
  }

  policies(): readonly PolicyRecord[] {
    return this.#image.policies.policies();
  }

  get access(): AccessView {
    return this.#image.access;
  }

  onAccess(handle: () => void): () => void {
    this.#accessListeners.add(handle);
    return () => {
      this.#accessListeners.delete(handle);
    };
  }

  /** The image has changed by these, or as a whole (undefined), or the controller has (none). */
  changed(changes: readonly MetadataChange[] | undefined): void {
    this.#builtAt = -1;
    this.#tellRoutes(changes);
    this.#tellLogs(changes);
    for (const listener of [...this.#listeners]) listener();
    this.#tellAccess();
  }

  #tellRoutes(changes: readonly MetadataChange[] | undefined): void {
    const routes = changes && routeChanges(changes);
    if (routes?.size === 0) return;
    this.routesVersion += 1;
    for (const listener of [...this.#routeListeners]) {
      if (routes === undefined) listener(undefined, undefined);
      else for (const [vhost, ofVhost] of routes) listener(ofVhost, vhost);
    }
  }

  #tellAccess(): void {
    const { version } = this.#image.access;
    if (version === this.#accessVersion) return;
    this.#accessVersion = version;
    this.#names.clear();
    for (const listener of [...this.#accessListeners]) listener();
  }

  #tellLogs(changes: readonly MetadataChange[] | undefined): void {
    const moved = this.#readElsewhere(changes);
    const logIds = changes?.flatMap((change) => ('logId' in change ? [change.logId] : []));
    logIds?.push(...moved);
    if (logIds?.length === 0) return;
    for (const listener of [...this.#logListeners]) listener(logIds);
  }

  /** Logs of destinations whose readers look for a replica from now on, or do no more. */
  #readElsewhere(changes: readonly MetadataChange[] | undefined): readonly number[] {
    if (changes === undefined) {
      const all = this.#image.destinations().filter(({ config }) => config.some(isReadFromReplica));
      this.#readFromReplicas = new Set(all.map(keyOf));
      return [];
    }
    const moved: number[] = [];
    for (const change of changes) {
      const { kind } = change;
      if (kind === 'destination-deleted') this.#readFromReplicas.delete(keyOf(change));
      if (kind !== 'destination-created' && kind !== 'destination-changed') continue;
      const record = this.#image.destination(change.vhost, change.name);
      if (record === undefined) continue;
      const isRead = record.config.some(isReadFromReplica);
      const key = keyOf(record);
      if (isRead === this.#readFromReplicas.has(key)) continue;
      if (isRead) this.#readFromReplicas.add(key);
      else this.#readFromReplicas.delete(key);
      // The logs of one that was made are told by themselves.
      if (kind === 'destination-changed') moved.push(...record.logIds);
    }
    return moved;
  }

  #refresh(): void {
    if (this.#builtAt === this.#image.version) return;
    this.#builtAt = this.#image.version;
    this.#nodes = undefined;
    this.#all = undefined;
    this.#byName.clear();
  }

  #viewOf(record: DestinationRecord): DestinationView {
    const key = keyOf(record);
    const known = this.#byName.get(key);
    if (known !== undefined) return known;
    const logs: LogView[] = [];
    for (const logId of record.logIds) {
      const log = this.#image.log(logId);
      if (log !== undefined) logs.push(this.#logView(log, record));
    }
    const view: DestinationView = {
      name: record.name,
      id: record.topicId,
      isInternal: record.isInternal,
      config: new Map(record.config),
      logs,
      ...(record.queue === undefined ? {} : { queue: record.queue }),
      ...(record.policy === undefined ? {} : { policy: record.policy }),
      ...this.#limitOf(record),
      ...(this.#isMirrored(record) ? { isMirrored: true } : {}),
    };
    this.#byName.set(key, view);
    return view;
  }

  #isMirrored({ queue, logIds }: DestinationRecord): boolean {
    const log = queue === undefined ? undefined : this.#image.log(logIds[0]!);
    return log !== undefined && mirrorsOf(this.#image, log) !== undefined;
  }

  #limitOf({ vhost, policy, queue }: DestinationRecord): { readonly deliveryLimit?: number } {
    if (queue?.quorum === undefined) return {};
    const ofPolicy = this.#image.policies.rules(vhost, policy).deliveryLimit;
    return { deliveryLimit: deliveryLimitIn(queue.quorum, ofPolicy) };
  }

  #logView(log: LogRecord, of: DestinationRecord | undefined): LogView {
    const { logId, kind, vhost, destination, partition, leader, epoch, replicas, isr, minInsync } =
      log;
    const { durability, adding, removing } = log;
    const offline = replicas.filter((node) => !this.#image.isNodeLive(node));
    const observers = observersOf(this.#image, log, replicas);
    return {
      logId,
      kind,
      vhost,
      destination,
      partition,
      leader,
      epoch,
      replicas,
      adding,
      removing,
      isr,
      offline,
      observers,
      minInsync,
      durability,
      ...(of?.config.some(isReadFromReplica) === true ? { readsFromReplicas: true } : {}),
    };
  }
}

function keyOf({ vhost, name }: Pick<DestinationRecord, 'vhost' | 'name'>): string {
  return `${vhost}\u0000${name}`;
}

function isReadFromReplica([name, value]: readonly [string, string]): boolean {
  return name === READ_FROM && value === 'replica';
}

function nodeView(node: NodeRecord): NodeView {
  return {
    id: node.id,
    role: node.role,
    incarnation: node.incarnation,
    isLive: isLive(node),
    rack: node.rack,
    shardIncarnations: node.shardIncarnations,
    pid: node.pid,
    endpoints: new Map(
      node.endpoints.map(({ listener, host, port }) => [listener, { host, port }]),
    ),
  };
}
