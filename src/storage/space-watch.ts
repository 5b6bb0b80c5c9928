// Whether batches find room on the disk. Batches end before the disk does: half a WAL file is kept for what takes
// little and makes room (acknowledgements, moves of a log start, deletes, begins of epochs, what the cluster keeps
// for itself), so that a node whose disk is full can be emptied; and leaders take none while fewer bytes are free
// than the operator wants. It looks when something is appended and when it is asked, and has a timer only while
// there is no room.
import type { Cancel } from '../env/environment.ts';
import { messageOf } from '../std/errors.ts';
import type { StorageEnvironment } from './api.ts';
import type { WalFiles } from './wal-files.ts';

/** The disk is not asked more often. */
const LOOK_MS = 200;
/** While there is no room. */
const WAIT_MS = 500;
/** So much more than the limit must be free before batches are taken again. */
const RESUME_SHARE = 0.2;

export interface SpacePort {
  readonly env: StorageEnvironment;
  readonly walFiles: WalFiles;
  /** LSN behind all that was appended. */
  endLsn(): number;
  /** There is room again. */
  onRoom(): void;
}

export class SpaceWatch {
  readonly #port: SpacePort;
  readonly #freeBytesMin: number;
  freeBytes = Number.POSITIVE_INFINITY;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** Fewer bytes are free than there should be, and not yet enough again. */
  #isLow = false;
  #isShort = false;
  /** From here on the WAL takes no batches. */
  #limitLsn = Number.POSITIVE_INFINITY;
  #cancel: Cancel | undefined;
  #isStopped = false;

  constructor(port: SpacePort, freeBytesMin: number) {
    this.#port = port;
    this.#freeBytesMin = freeBytesMin;
  }

  /** Batches of clients are refused. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** A batch of a client here, or one that a leader elsewhere has taken: the operator's limit is not for those. */
  refuses(isReplica: boolean): boolean {
    if (this.#isLow && !isReplica) return true;
    return this.#limitLsn !== Number.POSITIVE_INFINITY && this.#port.endLsn() >= this.#limitLsn;
  }

  /** Once a turn in which something may have been appended; cheap unless the last look is old. */
  turn(): void {
    if (this.#port.env.clock.monotonicMs() - this.#lookedMs >= LOOK_MS) this.look();
  }

  look(): void {
    if (this.#isStopped) return;
    const { env, walFiles } = this.#port;
    this.#lookedMs = env.clock.monotonicMs();
    try {
      this.freeBytes = env.disk.freeBytes();
    } catch (error) {
      env.log.warn('how much of the disk is free is not known', { error: messageOf(error) });
      return;
    }
    const enough = this.#freeBytesMin * (this.#isLow ? 1 + RESUME_SHARE : 1);
    this.#isLow = this.freeBytes < enough;
    this.#limitLsn = walFiles.batchLimit(this.freeBytes);
    const isShort = this.refuses(false);
    if (isShort !== this.#isShort) this.#changed(isShort);
    if (!isShort) return;
    this.#wait();
    walFiles.prepareAgain(this.freeBytes);
  }

  #changed(isShort: boolean): void {
    this.#isShort = isShort;
    const { freeBytes } = this;
    const { log } = this.#port.env;
    const facts = { freeBytes, freeBytesMin: this.#freeBytesMin };
    if (isShort) log.warn('the disk is full or nearly so: nothing is published to it', facts);
    else {
      log.info('the disk has room again: publishes are taken', facts);
      this.#port.onRoom();
    }
  }

  #wait(): void {
    if (this.#cancel !== undefined) return;
    const { env } = this.#port;
    this.#cancel = env.timers.at(env.clock.monotonicMs() + WAIT_MS, () => {
      this.#cancel = undefined;
      this.look();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }
}
