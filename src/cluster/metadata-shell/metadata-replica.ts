// The metadata on one thread: the image, the view over it, and the directory of the shard that lives
// there. On the main thread Raft applies into it; shards get the same committed commands in order and
// apply them alike, so every thread of every node holds the same image at the same index.

import type { Faults } from '../../replication/types.ts';
import { BytesError } from '../../std/bytes.ts';
import { applyCommand } from '../metadata/apply.ts';
import { decodeCommand } from '../metadata/command-codec.ts';
import type { MetadataChange, MetadataCommand } from '../metadata/commands.ts';
import { MetadataImage } from '../metadata/image.ts';
import { restoreImage, snapshotImage } from '../metadata/snapshot.ts';
import type { Difference } from '../ports.ts';
import type { LogMove } from '../replica/peer-protocol.ts';
import { ShardDirectory, type ShardIdentity } from './shard-directory.ts';
import { ImageView } from './view.ts';

export interface Refused {
  readonly code: string;
  readonly message: string;
  readonly difference: Difference | undefined;
}

const NO_NUMBERS: ReadonlySet<string> = new Set(['BYTES_UNSAFE_INTEGER', 'BYTES_BAD_VARINT']);

export class MetadataReplica {
  readonly image = new MetadataImage();
  readonly view: ImageView;
  /** Absent on a main thread whose shards are workers. */
  directory: ShardDirectory | undefined;
  readonly #changedLogs = new Set<number>();
  readonly #deletedLogs = new Set<number>();
  readonly #changedNodes = new Set<number>();
  #wantedLeaders: LogMove[] = [];
  #changes: MetadataChange[] = [];
  #isWholeNew = false;

  constructor(nodeId: number) {
    this.view = new ImageView(this.image, nodeId);
  }

  serve(identity: ShardIdentity, faults?: Faults): ShardDirectory {
    const directory = new ShardDirectory(this.image, identity, faults);
    this.directory = directory;
    return directory;
  }

  /** Applies one committed command; what changed is told by `publish`. */
  apply(bytes: Uint8Array, index: number): Refused | undefined {
    const command = readCommand(bytes);
    if (command === undefined) {
      this.image.version = index;
      return {
        code: 'malformed',
        message: 'the command cannot be read',
        difference: undefined,
      };
    }
    const { outcome, changes } = applyCommand(this.image, command, index);
    for (const change of changes) this.#note(change);
    if (outcome.kind === 'ok') return undefined;
    const { code, message, difference } = outcome;
    return { code, message, difference };
  }

  restore(bytes: Uint8Array): void {
    restoreImage(this.image, bytes);
    this.#isWholeNew = true;
  }

  snapshot(): Uint8Array {
    return snapshotImage(this.image);
  }

  setController(controllerId: number): void {
    if (this.view.controllerId === controllerId) return;
    this.view.controllerId = controllerId;
    this.view.changed([]);
  }

  #note(change: MetadataChange): void {
    this.#changes.push(change);
    switch (change.kind) {
      case 'log-created':
      case 'log-changed':
        this.#changedLogs.add(change.logId);
        return;
      case 'log-deleted':
        this.#changedLogs.delete(change.logId);
        this.#deletedLogs.add(change.logId);
        return;
      case 'leader-wanted':
        this.#wantedLeaders.push(change);
        return;
      case 'destination-changed':
        // What is kept of its logs may be another.
        for (const logId of this.image.destination(change.vhost, change.name)?.logIds ?? []) {
          this.#changedLogs.add(logId);
        }
        return;
      case 'node-changed':
      case 'node-removed':
        this.#changedNodes.add(change.node);
        return;
      default:
        return;
    }
  }

  /** Tells view and directory what the entries since the last call have changed; answers the changes. */
  publish(): readonly MetadataChange[] {
    const changes = this.#changes;
    this.#changes = [];
    if (changes.length === 0 && !this.#isWholeNew) return changes;
    this.view.changed(this.#isWholeNew ? undefined : changes);
    if (this.directory !== undefined) this.#tellDirectory(this.directory);
    this.#isWholeNew = false;
    this.#changedLogs.clear();
    this.#deletedLogs.clear();
    this.#changedNodes.clear();
    this.#wantedLeaders = [];
    return changes;
  }

  #tellDirectory(directory: ShardDirectory): void {
    const logs = new Set(this.#changedLogs);
    // A node that comes, goes or changes its incarnation concerns every log it shares with this one.
    const self = this.view.nodeId;
    const own = this.image.logsOn(self);
    if (this.#isWholeNew || this.#changedNodes.has(self)) {
      for (const logId of own) logs.add(logId);
    } else if (this.#changedNodes.size > 0) {
      for (const logId of own) {
        const replicas = this.image.log(logId)?.replicas ?? [];
        if (replicas.some((node) => this.#changedNodes.has(node))) logs.add(logId);
      }
    }
    const mine = [...logs].filter((logId) => directory.has(logId));
    directory.tell({
      changed: mine.sort((a, b) => a - b),
      elsewhere: [...this.#changedLogs].filter((logId) => directory.spec(logId) === undefined),
      deleted: [...this.#deletedLogs],
      isReplaced: this.#isWholeNew,
      wanted: this.#wantedLeaders.filter(({ logId }) => directory.has(logId)),
    });
  }
}

/**
 * Undefined: a number in it is none, which every build reads alike, so that every node refuses it. Anything else that
 * cannot be read may be of a newer version, which means something by it: whoever passed over it would differ from then
 * on, so that it ends the node.
 */
function readCommand(bytes: Uint8Array): MetadataCommand | undefined {
  try {
    return decodeCommand(bytes);
  } catch (error) {
    const isNumber = error instanceof BytesError && NO_NUMBERS.has(error.code);
    if (isNumber) return undefined;
    throw error;
  }
}
