// The read-only view of the metadata image that brokers, protocols and the admin room see. Views of
// destinations and nodes are built when asked for and kept until the image changes.
import type { MetadataImage } from '../metadata/image.ts';
import {
  type DestinationRecord,
  isLive,
  type LogRecord,
  type NodeRecord,
} from '../metadata/types.ts';
import type { DestinationView, LogView, MetadataView, NodeView } from '../ports.ts';

const DEFAULT_VHOST = '/';

export class ImageView implements MetadataView {
  readonly nodeId: number;
  controllerId = -1;
  readonly #image: MetadataImage;
  readonly #listeners = new Set<() => void>();
  #builtAt = -1;
  #nodes: readonly NodeView[] | undefined;
  #all: readonly DestinationView[] | undefined;
  readonly #byName = new Map<string, DestinationView>();

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

  destinations(): readonly DestinationView[] {
    this.#refresh();
    this.#all ??= this.#image
      .destinations()
      .filter((each) => each.vhost === DEFAULT_VHOST)
      .map((each) => this.#viewOf(each));
    return this.#all;
  }

  destination(name: string): DestinationView | undefined {
    this.#refresh();
    const found = this.#image.destination(DEFAULT_VHOST, name);
    return found === undefined ? undefined : this.#viewOf(found);
  }

  destinationById(id: Uint8Array): DestinationView | undefined {
    this.#refresh();
    const found = this.#image.destinationByTopicId(id);
    return found?.vhost === DEFAULT_VHOST ? this.#viewOf(found) : undefined;
  }

  log(logId: number): LogView | undefined {
    const log = this.#image.log(logId);
    return log === undefined ? undefined : this.#logView(log);
  }

  onChange(handle: () => void): () => void {
    this.#listeners.add(handle);
    return () => {
      this.#listeners.delete(handle);
    };
  }

  /** The image has changed, or the controller has. */
  changed(): void {
    this.#builtAt = -1;
    for (const listener of [...this.#listeners]) listener();
  }

  #refresh(): void {
    if (this.#builtAt === this.#image.version) return;
    this.#builtAt = this.#image.version;
    this.#nodes = undefined;
    this.#all = undefined;
    this.#byName.clear();
  }

  #viewOf(record: DestinationRecord): DestinationView {
    const known = this.#byName.get(record.name);
    if (known !== undefined) return known;
    const logs: LogView[] = [];
    for (const logId of record.logIds) {
      const log = this.#image.log(logId);
      if (log !== undefined) logs.push(this.#logView(log));
    }
    const view: DestinationView = {
      name: record.name,
      id: record.topicId,
      isInternal: record.isInternal,
      config: new Map(record.config),
      logs,
    };
    this.#byName.set(record.name, view);
    return view;
  }

  #logView(log: LogRecord): LogView {
    const { logId, kind, destination, partition, leader, epoch, replicas, isr, minInsync } = log;
    const offline = replicas.filter((node) => !this.#image.isNodeLive(node));
    return {
      logId,
      kind,
      destination,
      partition,
      leader,
      epoch,
      replicas,
      isr,
      offline,
      minInsync,
    };
  }
}

function nodeView(node: NodeRecord): NodeView {
  return {
    id: node.id,
    incarnation: node.incarnation,
    isLive: isLive(node),
    rack: node.rack,
    pid: node.pid,
    endpoints: new Map(
      node.endpoints.map(({ listener, host, port }) => [listener, { host, port }]),
    ),
  };
}
