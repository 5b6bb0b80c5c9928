// The piece of the write-ahead log that a start looks at: it moves through the files, and the piece behind it is read
// by another thread meanwhile. What is left of the one piece is put in front of the next: no byte is read twice, unless
// somebody goes back or leaps.
import { storageErrorFrom } from './errors.ts';
import type { WalFile } from './wal-files.ts';

/** Small enough for the caches of a processor, large enough that the calls do not count. */
const PIECE_BYTES = 2 << 20;
/** Room for what is left of the piece before: about the largest group. What is more is read again. */
const REST_BYTES = 1 << 20;

/** Bytes [fromPosition, fromPosition + count) of a file, at `at` of `bytes`. */
class Piece {
  bytes: Uint8Array;
  file: WalFile | undefined;
  at = 0;
  fromPosition = 0;
  count = 0;
  /** It ends with the file. */
  isLast = false;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  get endPosition(): number {
    return this.fromPosition + this.count;
  }
}

export class WalWindow {
  readonly #restBytes: number;
  #piece: Piece;
  #ahead: Piece;
  #reading: Promise<void> | undefined;

  constructor(files: readonly WalFile[]) {
    let largest = 0;
    for (const { size } of files) largest = Math.max(largest, size);
    this.#restBytes = Math.min(largest, REST_BYTES);
    const size = this.#restBytes + Math.min(largest, PIECE_BYTES);
    this.#piece = new Piece(size);
    this.#ahead = new Piece(size);
  }

  /** Bytes [position, position + length) of the file, fewer at its end, if they are here; lent until the next `at`. */
  peek(file: WalFile, position: number, length: number): Uint8Array | undefined {
    const piece = this.#piece;
    const { fromPosition, endPosition } = piece;
    if (piece.file !== file || position < fromPosition) return undefined;
    if (position + length > endPosition && !piece.isLast) return undefined;
    const start = piece.at + position - fromPosition;
    const end = Math.min(start + length, piece.at + piece.count);
    return piece.bytes.subarray(Math.min(start, end), end);
  }

  /** As `peek`, and reads what is not here. Throws StorageError, DiskError. */
  async at(file: WalFile, position: number, length: number): Promise<Uint8Array> {
    for (;;) {
      const found = this.peek(file, position, length);
      if (found !== undefined) return found;
      await this.#move(file, position, length);
    }
  }

  async #move(file: WalFile, position: number, length: number): Promise<void> {
    await this.settled();
    const piece = this.#piece;
    const ahead = this.#ahead;
    const rest = piece.endPosition - position;
    const isNext =
      piece.file === file &&
      ahead.file === file &&
      ahead.fromPosition === piece.endPosition &&
      rest >= 0 &&
      rest <= this.#restBytes &&
      position >= piece.fromPosition &&
      length <= rest + ahead.count;
    if (isNext) {
      const from = piece.at + piece.count - rest;
      ahead.bytes.set(piece.bytes.subarray(from, from + rest), ahead.at - rest);
      ahead.at -= rest;
      ahead.fromPosition -= rest;
      ahead.count += rest;
      this.#piece = ahead;
      this.#ahead = piece;
    } else {
      const size = this.#restBytes + length;
      if (size > piece.bytes.length) piece.bytes = new Uint8Array(size);
      await this.#fill(piece, file, position);
    }
    const { endPosition, isLast } = this.#piece;
    // It may be behind the end of the log: whoever needs it reads it again, and hears of the failure.
    if (!isLast) this.#reading = this.#fill(this.#ahead, file, endPosition).catch(() => undefined);
  }

  /** Waits until nothing is being read. */
  async settled(): Promise<void> {
    await this.#reading;
    this.#reading = undefined;
  }

  #fill(piece: Piece, file: WalFile, position: number): Promise<void> {
    piece.file = undefined;
    const into = piece.bytes.subarray(this.#restBytes);
    return new Promise((resolve, reject) => {
      file.file.read(into, position, (error, count) => {
        if (error !== undefined) {
          reject(storageErrorFrom(error, `reading ${file.path}`));
          return;
        }
        piece.file = file;
        piece.at = this.#restBytes;
        piece.fromPosition = position;
        piece.count = count;
        piece.isLast = count < into.length;
        resolve();
      });
    });
  }
}
