// Where the other nodes are dialled, as metadata says: a node that joins is in nobody's configuration, and those that
// are there hear of it with its registration. One for each thread that has links.
import type { Links } from '../actors/links/links.ts';
import type { MetadataImage } from '../cluster/metadata/image.ts';
import type { NodeRecord } from '../cluster/metadata/types.ts';
import type { Remembered } from './members.ts';

type Addresses = Pick<Links, 'learnAddress' | 'forgetAddress'>;

export class Neighbours {
  readonly #image: MetadataImage;
  readonly #self: number;
  readonly #links: Addresses;
  readonly #sinceVersion: number;
  /** Another array when a node has changed. */
  #lastSeen: readonly NodeRecord[] | undefined;
  /** Records are replaced when they change. */
  readonly #seen = new Map<number, NodeRecord>();

  constructor(image: MetadataImage, self: number, links: Addresses, remembered: Remembered) {
    this.#image = image;
    this.#self = self;
    this.#links = links;
    this.#sinceVersion = remembered.version;
    for (const { node, host, port } of remembered.members) {
      if (node !== self) links.learnAddress(node, { host, port });
    }
  }

  /** To be called when metadata has changed. A log that is read again at a start tells of addresses of long ago. */
  look(): void {
    if (this.#image.version < this.#sinceVersion) return;
    const nodes = this.#image.nodes();
    if (nodes === this.#lastSeen) return;
    this.#lastSeen = nodes;
    for (const node of nodes) {
      const before = this.#seen.get(node.id);
      if (node.id === this.#self || before === node) continue;
      this.#seen.set(node.id, node);
      // What it said of itself when it dialled is of its life of before: a thread that only dials hears no later one.
      if (before !== undefined && !isSameLife(before, node)) this.#links.forgetAddress(node.id);
      const link = node.endpoints.find(({ listener }) => listener === 'link');
      if (link !== undefined) {
        this.#links.learnAddress(node.id, { host: link.host, port: link.port });
      }
    }
    for (const id of this.#seen.keys()) {
      if (this.#image.node(id) !== undefined) continue;
      this.#seen.delete(id);
      this.#links.forgetAddress(id);
    }
  }
}

function isSameLife(a: NodeRecord, b: NodeRecord): boolean {
  return a.incarnation === b.incarnation && a.bootCounter === b.bootCounter;
}
