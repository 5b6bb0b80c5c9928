// Which durable actors a folder holds: the log of each name, the next id, and how often the folder was opened.
// One small file that is replaced as a whole: before a log is used its name is on the disk.
import type { Disk } from '../../env/environment.ts';
import { decodeUtf8, encodeUtf8 } from '../../std/bytes.ts';
import { BrokerError } from '../../std/errors.ts';

const FILE = 'actors.json';
const FORMAT = 1;
/** Logs below it are free for what a later version needs of its own. */
const FIRST_LOG_ID = 16;

export class DurableFolderError extends BrokerError {
  readonly code = 'DURABLE_FOLDER';
}

export interface NamedLog {
  readonly logId: number;
  readonly kind: string;
  readonly name: string;
}

interface Stored {
  readonly format: number;
  readonly opened: number;
  readonly nextLogId: number;
  readonly logs: readonly NamedLog[];
}

function parse(bytes: Uint8Array, root: string): Stored {
  let stored: Partial<Stored>;
  try {
    stored = JSON.parse(decodeUtf8(bytes)) as Partial<Stored>;
  } catch (error) {
    throw new DurableFolderError(`${FILE} in ${root} cannot be read`, { root }, error);
  }
  if (stored.format !== FORMAT) {
    const text = `${FILE} in ${root} has format ${stored.format}; this version knows ${FORMAT}`;
    throw new DurableFolderError(text, { root });
  }
  return stored as Stored;
}

export class Registry {
  readonly #disk: Disk;
  readonly #byId = new Map<number, NamedLog>();
  readonly #byName = new Map<string, NamedLog>();
  #nextLogId = FIRST_LOG_ID;
  /** Opens of the folder, this one counted. */
  readonly opened: number;

  /**
   * Reads the file and counts this opening on the disk.
   *
   * @throws DurableFolderError if the file is not ours or of another version.
   */
  constructor(disk: Disk) {
    this.#disk = disk;
    const bytes = disk.readFile(FILE);
    const stored = bytes === undefined ? undefined : parse(bytes, disk.root);
    for (const log of stored?.logs ?? []) this.#know(log);
    this.#nextLogId = stored?.nextLogId ?? FIRST_LOG_ID;
    this.opened = (stored?.opened ?? 0) + 1;
    this.#write();
  }

  logs(): readonly NamedLog[] {
    return [...this.#byId.values()];
  }

  log(logId: number): NamedLog | undefined {
    return this.#byId.get(logId);
  }

  find(kind: string, name: string): NamedLog | undefined {
    return this.#byName.get(keyOf(kind, name));
  }

  /** Gives a new name a log; on the disk when this returns. */
  add(kind: string, name: string): NamedLog {
    const log = { logId: this.#nextLogId, kind, name };
    this.#nextLogId += 1;
    this.#know(log);
    this.#write();
    return log;
  }

  /** Forgets a name for good; its id is never used again. */
  remove({ logId, kind, name }: NamedLog): void {
    this.#byId.delete(logId);
    this.#byName.delete(keyOf(kind, name));
    this.#write();
  }

  #know(log: NamedLog): void {
    this.#byId.set(log.logId, log);
    this.#byName.set(keyOf(log.kind, log.name), log);
  }

  #write(): void {
    const stored: Stored = {
      format: FORMAT,
      opened: this.opened,
      nextLogId: this.#nextLogId,
      logs: this.logs(),
    };
    this.#disk.replaceFile(FILE, encodeUtf8(`${JSON.stringify(stored)}\n`));
  }
}

function keyOf(kind: string, name: string): string {
  return `${kind}\u0000${name}`;
}
