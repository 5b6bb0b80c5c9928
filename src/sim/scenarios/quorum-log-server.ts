// The smallest durable server there is, as a canary for the simulator: it appends records to one file, one
// write under way at a time, and answers when they are durable. It replicates nothing; its clients do.
//
//   request and answer: u32 length, then u8 kind (1 append, 2 list), then ids as u32
//   record in the file: u32 id + 1, u32 CRC-32C of those four bytes
import type { Connection, DiskFile, Environment } from '../../env/environment.ts';
import { readU32, writeU32 } from '../../std/bytes.ts';
import { FrameReader, frame } from './frames.ts';

export const QUORUM_LOG_PORT = 7_000;
export const APPEND = 1;
export const LIST = 2;
const RECORD_BYTES = 8;
const PATH = 'log/data';

interface Waiting {
  readonly ids: readonly number[];
  readonly connection: Connection;
}

export async function startQuorumLogServer(env: Environment): Promise<void> {
  const server = new QuorumLogServer(env);
  await env.net.listen({ host: '0.0.0.0', port: QUORUM_LOG_PORT }, (connection) =>
    server.accept(connection),
  );
}

class QuorumLogServer {
  readonly #env: Environment;
  readonly #file: DiskFile;
  readonly #isLying: boolean;
  readonly #ids = new Set<number>();
  #end = 0;
  #waiting: Waiting[] = [];
  #isWriting = false;
  #isFenced = false;

  constructor(env: Environment) {
    this.#env = env;
    this.#isLying = env.buggify('bug.ack-before-sync');
    env.disk.makeDirectory('log');
    env.disk.syncDirectory('');
    this.#file = env.disk.open(PATH, { mode: 'create', dsync: !this.#isLying });
    env.disk.syncDirectory('log');
    this.#recover();
    env.log.info('recovered', { records: this.#ids.size });
  }

  accept(connection: Connection): void {
    const reader = new FrameReader((body) => this.#request(connection, body));
    connection.start({
      onBytes: (view) => reader.push(view),
      onClose: () => {
        this.#waiting = this.#waiting.filter((entry) => entry.connection !== connection);
      },
    });
  }

  #request(connection: Connection, body: Uint8Array): void {
    if (body[0] === LIST) {
      connection.write(frame(LIST, [...this.#ids]));
      return;
    }
    const ids: number[] = [];
    for (let at = 1; at < body.length; at += 4) ids.push(readU32(body, at));
    this.#waiting.push({ ids, connection });
    this.#env.runQueue.soon(() => this.#flush());
  }

  /** One group at a time: what arrives meanwhile forms the next one. */
  #flush(): void {
    if (this.#isWriting || this.#isFenced || this.#waiting.length === 0) return;
    const group = this.#waiting;
    this.#waiting = [];
    const fresh = group.flatMap(({ ids }) => ids.filter((id) => !this.#ids.has(id)));
    const bytes = new Uint8Array(fresh.length * RECORD_BYTES);
    for (const [i, id] of fresh.entries()) this.#encode(bytes, i * RECORD_BYTES, id);
    if (bytes.length === 0) {
      this.#answer(group);
      return;
    }
    this.#isWriting = true;
    this.#file.write(bytes, this.#end, (error) => {
      this.#isWriting = false;
      if (error !== undefined) {
        this.#fail(group, error);
        return;
      }
      this.#end += bytes.length;
      for (const id of fresh) this.#ids.add(id);
      this.#answer(group);
      this.#flush();
    });
  }

  #answer(group: readonly Waiting[]): void {
    for (const { ids, connection } of group) connection.write(frame(APPEND, ids));
  }

  /** A full device may recover; any other error means that nothing about the file is known. */
  #fail(group: readonly Waiting[], error: { readonly code: string }): void {
    if (error.code !== 'ENOSPC') this.#isFenced = true;
    for (const { connection } of group) connection.destroy();
  }

  #encode(bytes: Uint8Array, at: number, id: number): void {
    writeU32(bytes, at, id + 1);
    writeU32(bytes, at + 4, this.#env.crc32c(bytes, at, at + 4));
  }

  /** The valid prefix; a tear ends it, and the next record goes over the tear. */
  #recover(): void {
    const bytes = new Uint8Array(4_096);
    for (;;) {
      const count = this.#file.readSync(bytes, this.#end);
      let at = 0;
      for (; at + RECORD_BYTES <= count; at += RECORD_BYTES) {
        const isValid =
          readU32(bytes, at) !== 0 &&
          readU32(bytes, at + 4) === this.#env.crc32c(bytes, at, at + 4);
        if (!isValid) break;
        this.#ids.add(readU32(bytes, at) - 1);
      }
      this.#end += at;
      if (at < bytes.length) return;
    }
  }
}
