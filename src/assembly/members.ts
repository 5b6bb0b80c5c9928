// Who the members are as far as this node knows without asking: those that its configuration lists, and those that it
// remembers in `members.json` of its folder, as metadata knew them last. A node that was taken in by a running cluster
// is in nobody's list, and its own list has nobody else: without this file it would find nobody after a restart.
//
// The file is written only where it says more than the configuration does, and replaced as a whole. It is a hint: what
// it lacks is learned from the metadata, and from those who dial. No secret is in it.
import type { MetadataImage } from '../cluster/metadata/image.ts';
import type { NodeRecord } from '../cluster/metadata/types.ts';
import type { Environment } from '../env/environment.ts';
import { decodeUtf8, encodeUtf8 } from '../std/bytes.ts';
import { messageOf } from '../std/errors.ts';
import type { NodeConfig } from './node-config.ts';

export const MEMBERS_FILE = 'members.json';
const FORMAT = 1;

/** A node, and where its links are dialled. */
export interface Member {
  readonly node: number;
  readonly host: string;
  readonly port: number;
}

export interface Remembered {
  /** Index of the metadata that it is taken from: what older metadata says of addresses is older. */
  readonly version: number;
  /** In order of number. */
  readonly members: readonly Member[];
  /** Taken out of the cluster. */
  readonly removed: readonly number[];
}

export const NOTHING_REMEMBERED: Remembered = { version: 0, members: [], removed: [] };

/** Undefined: these bytes are no such file. */
export function decodeMembers(bytes: Uint8Array): Remembered | undefined {
  let found: Partial<Remembered> & { readonly format?: unknown };
  try {
    found = JSON.parse(decodeUtf8(bytes)) as typeof found;
  } catch {
    return undefined;
  }
  if (found?.format !== FORMAT) return undefined;
  const { version, members, removed } = found;
  const isGood =
    Number.isSafeInteger(version) &&
    Array.isArray(members) &&
    members.every(isMember) &&
    Array.isArray(removed) &&
    removed.every(Number.isSafeInteger);
  return isGood ? { version: version!, members, removed } : undefined;
}

function isMember(value: Partial<Member> | null): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { node, host, port } = value;
  return Number.isSafeInteger(node) && typeof host === 'string' && Number.isSafeInteger(port);
}

export function encodeMembers(remembered: Remembered): Uint8Array {
  return encodeUtf8(`${JSON.stringify({ format: FORMAT, ...remembered })}\n`);
}

/** What metadata knows. Nodes that have not said where they are dialled are left out. */
export function membersOf(image: MetadataImage): Remembered {
  const members: Member[] = [];
  for (const { id, endpoints } of image.nodes()) {
    const link = endpoints.find(({ listener }) => listener === 'link');
    if (link !== undefined) members.push({ node: id, host: link.host, port: link.port });
  }
  return {
    version: image.version,
    members: members.sort((a, b) => a.node - b.node),
    removed: image.removedNodes().map(({ id }) => id),
  };
}

/** Undefined: the folder has none that can be read. */
export function rememberedIn({ disk }: Environment): Remembered | undefined {
  const bytes = disk.readFile(MEMBERS_FILE);
  return bytes === undefined ? undefined : decodeMembers(bytes);
}

export class Members {
  readonly #env: Environment;
  readonly #self: number;
  readonly #configured: readonly Member[];
  readonly #introduced: Remembered | undefined;
  #remembered: Remembered;
  #written: string | undefined;
  /** Another array when a node has changed. */
  #seen: readonly NodeRecord[] | undefined;

  /** `introduced`: what a member has just answered, newer than any file. */
  constructor(
    env: Environment,
    config: Pick<NodeConfig, 'nodeId' | 'nodes'>,
    introduced?: Remembered,
  ) {
    this.#env = env;
    this.#self = config.nodeId;
    this.#configured = config.nodes.map(({ id, host, linkPort }) => {
      return { node: id, host, port: linkPort };
    });
    const bytes = env.disk.readFile(MEMBERS_FILE);
    const read = bytes === undefined ? undefined : decodeMembers(bytes);
    if (bytes !== undefined && read === undefined) {
      env.log.warn('the remembered members cannot be read', { file: MEMBERS_FILE });
    }
    if (read !== undefined) this.#written = wordsOf(read);
    this.#introduced = introduced;
    this.#remembered = introduced ?? read ?? NOTHING_REMEMBERED;
  }

  /**
   * Writes down what a member has just answered, if one was asked. The folder is this node's.
   *
   * @throws DiskError: a node that joins needs a folder in which it finds the members again.
   */
  keepIntroduced(): void {
    const introduced = this.#introduced;
    if (introduced === undefined || wordsOf(introduced) === this.#written) return;
    this.#env.disk.replaceFile(MEMBERS_FILE, encodeMembers(introduced));
    this.#written = wordsOf(introduced);
  }

  get remembered(): Remembered {
    return this.#remembered;
  }

  /** All members that this node knows of, itself included; in order. */
  ids(): readonly number[] {
    const { members, removed } = this.#remembered;
    const all = [...this.#configured, ...members].map(({ node }) => node);
    const ids = new Set(all.filter((id) => id === this.#self || !removed.includes(id)));
    return [...ids].sort((a, b) => a - b);
  }

  others(): readonly number[] {
    return this.ids().filter((id) => id !== this.#self);
  }

  /** Metadata has changed: what differs from the configuration is written down. Best effort, tried at each change. */
  changed(image: MetadataImage): void {
    const nodes = image.nodes();
    if (image.clusterId === '' || image.version < this.#remembered.version) return;
    if (nodes === this.#seen) return;
    this.#seen = nodes;
    const next = membersOf(image);
    if (wordsOf(next) === this.#written) return;
    const isNews =
      this.#written !== undefined ||
      next.removed.length > 0 ||
      next.members.some(({ node }) => !this.#configured.some((each) => each.node === node));
    if (!isNews) return;
    this.#remembered = next;
    try {
      this.#env.disk.replaceFile(MEMBERS_FILE, encodeMembers(next));
      this.#written = wordsOf(next);
    } catch (error) {
      this.#seen = undefined;
      this.#env.log.warn('the members cannot be written down', { error: messageOf(error) });
    }
  }
}

/** Without the version, which grows with everything. */
function wordsOf({ members, removed }: Remembered): string {
  return JSON.stringify([members, removed]);
}
