// Reads the write-ahead log back after a start: group by group, every frame checked. Where something is
// wrong, the durable LSNs of the groups behind decide: a bad group at or above the highest of them is a
// tear and ends the log; below it, it is corruption: the rest is read on, and who lost frames is told.
import { BATCH_CRC_FROM, CRC_AT } from '../records/batch.ts';
import { readU32 } from '../std/bytes.ts';
import { joinCrc32c } from '../std/crc32c-join.ts';
import type { StorageEnvironment } from './api.ts';
import { unknownVersion } from './errors.ts';
import {
  BLOCK_BYTES,
  batchLengthOf,
  FRAME_HEADER_BYTES,
  FRAME_VERSION,
  type FrameCodec,
  FrameFields,
  frameSize,
  NEW_SALT,
  readFields,
  SEAL,
  SOUND_HEADER_SUM,
  TYPE_DATA,
  TYPE_GROUP,
  viewOf,
} from './frame-format.ts';
import type { WalFile } from './wal-files.ts';
import { WalWindow } from './wal-window.ts';

export interface ScanFile {
  readonly file: WalFile;
  readonly salt: number;
}

export interface ScanSink {
  /** A sound frame at or above the replay LSN; its payload is at `from` in `bytes`, which are lent. */
  onFrame(fields: FrameFields, bytes: Uint8Array, from: number, batchLength: number): void;
  /** A damaged frame of this log below the durable end. */
  onDamagedLog(logId: number): void;
  /** Damage below the durable end that cannot be told to belong to one log. */
  onDamage(fromLsn: number): void;
}

export interface ScanEnd {
  readonly lsn: number;
  /** Salt of the last group. */
  readonly salt: number;
  readonly isSealed: boolean;
}

export class WalScan {
  readonly #codec: FrameCodec;
  readonly #env: StorageEnvironment;
  readonly #files: readonly ScanFile[];
  readonly #sink: ScanSink;
  readonly #replayLsn: number;
  readonly #window: WalWindow;
  readonly #group = new FrameFields();
  readonly #frame = new FrameFields();
  #salt = 0;
  #isSealed = true;

  constructor(
    env: StorageEnvironment,
    codec: FrameCodec,
    files: readonly ScanFile[],
    replayLsn: number,
    sink: ScanSink,
  ) {
    this.#env = env;
    this.#codec = codec;
    this.#files = files;
    this.#window = new WalWindow(files.map(({ file }) => file));
    this.#replayLsn = replayLsn;
    this.#sink = sink;
  }

  async run(): Promise<ScanEnd> {
    try {
      return await this.#run();
    } finally {
      await this.#window.settled();
    }
  }

  async #run(): Promise<ScanEnd> {
    const first = this.#files[0];
    if (first === undefined) return { lsn: this.#replayLsn, salt: 0, isSealed: true };
    let lsn = first.file.firstLsn;
    this.#salt = first.salt;
    if (lsn > this.#replayLsn) this.#damage(this.#replayLsn);
    for (let i = 0; i < this.#files.length; i += 1) {
      const { file, salt } = this.#files[i]!;
      if (file.firstLsn > lsn) {
        // Groups between two files are missing: below the durable end by the files behind.
        this.#damage(lsn);
        lsn = file.firstLsn;
      }
      this.#salt = salt;
      for (;;) {
        const end = await this.#readGroup(file, lsn);
        if (end > lsn) {
          lsn = end;
          continue;
        }
        if (this.#files[i + 1]?.file.firstLsn === lsn) break;
        const next = await this.#corruptionEnd(i, lsn);
        if (next === undefined) return { lsn, salt: this.#salt, isSealed: this.#isSealed };
        lsn = next;
        if (file.positionOf(lsn) >= file.size || this.#files[i + 1]?.file.firstLsn === lsn) break;
      }
    }
    return { lsn, salt: this.#salt, isSealed: this.#isSealed };
  }

  /** As the codec does. Throws `STORAGE_NEWER_FORMAT` for a frame that is no tear and no damage, but of another version. */
  #readHeader(
    bytes: Uint8Array,
    at: number,
    lsn: number,
    into: FrameFields,
    view = viewOf(bytes),
  ): boolean {
    if (this.#codec.readHeader(bytes, at, into, view)) return true;
    const version = this.#codec.unknownVersionAt(bytes, at, lsn);
    if (version === undefined) return false;
    throw unknownVersion(`the write-ahead log at LSN ${lsn}`, version, FRAME_VERSION);
  }

  #damage(fromLsn: number): void {
    this.#env.log.error('the WAL is damaged below its durable end', { lsn: fromLsn });
    this.#sink.onDamage(fromLsn);
  }

  /** Reads the group at `lsn` into the sink if all of it is sound; answers its end, or `lsn`. */
  async #readGroup(file: WalFile, lsn: number): Promise<number> {
    const bytes = await this.#groupBytes(file, lsn);
    if (bytes === undefined || !this.#isSound(bytes, lsn)) return lsn;
    this.#salt = this.#group.salt;
    this.#isSealed = (this.#group.flags & SEAL) !== 0;
    if (lsn + bytes.length > this.#replayLsn) this.#tellSound(bytes);
    return lsn + bytes.length;
  }

  /** All bytes of the group at `lsn`, whose header is sound and continues the log; else undefined. */
  async #groupBytes(file: WalFile, lsn: number): Promise<Uint8Array | undefined> {
    const position = file.positionOf(lsn);
    if (position + BLOCK_BYTES > file.size) return undefined;
    const head =
      this.#window.peek(file, position, FRAME_HEADER_BYTES) ??
      (await this.#window.at(file, position, FRAME_HEADER_BYTES));
    const group = this.#group;
    if (!this.#readHeader(head, 0, lsn, group) || group.type !== TYPE_GROUP) return undefined;
    if (group.lsn !== lsn) return undefined;
    const continues =
      group.salt === this.#salt ||
      ((group.flags & NEW_SALT) !== 0 && group.payloadCrc === this.#salt);
    const length = FRAME_HEADER_BYTES + group.payloadLength;
    if (!continues || position + length > file.size || length % BLOCK_BYTES !== 0) return undefined;
    const bytes =
      this.#window.peek(file, position, length) ?? (await this.#window.at(file, position, length));
    return bytes.length === length ? bytes : undefined;
  }

  #isFrameAt(bytes: Uint8Array, view: DataView, at: number, lsn: number): boolean {
    const frame = this.#frame;
    return (
      this.#readHeader(bytes, at, lsn + at, frame, view) &&
      frame.lsn === lsn + at &&
      frame.salt === this.#group.salt &&
      at + frameSize(frame.payloadLength) <= bytes.length
    );
  }

  /**
   * Whether all frames of the group are sound. Headers, and what of a batch its own sum leaves out, are summed one by
   * one: few bytes. What that makes of the sum of the whole is compared with one sum over all of it, since small calls
   * of the native one cost more than their bytes.
   */
  #isSound(bytes: Uint8Array, lsn: number): boolean {
    const { crc32c } = this.#codec;
    const frame = this.#frame;
    const view = viewOf(bytes);
    let at = FRAME_HEADER_BYTES;
    let sum = 0;
    for (let i = 0; i < this.#group.chain; i += 1) {
      if (!this.#isFrameAt(bytes, view, at, lsn)) return false;
      const from = at + FRAME_HEADER_BYTES;
      const end = from + frame.payloadLength;
      const length = this.#batchLength(bytes, from);
      if (length < 0) return false;
      sum = joinCrc32c(sum, SOUND_HEADER_SUM, FRAME_HEADER_BYTES);
      if (length === 0) sum = joinCrc32c(sum, frame.payloadCrc, frame.payloadLength);
      else {
        const middle = from + length;
        const ofEvents = middle === end ? 0 : crc32c(bytes, middle, end);
        if (crc32c(bytes, from, from + BATCH_CRC_FROM, ofEvents) !== frame.payloadCrc) return false;
        // Without what the events put into it.
        const ofFront = joinCrc32c(ofEvents, frame.payloadCrc, BATCH_CRC_FROM);
        sum = joinCrc32c(sum, ofFront, BATCH_CRC_FROM);
        sum = joinCrc32c(sum, readU32(bytes, from + CRC_AT), length - BATCH_CRC_FROM);
        sum = joinCrc32c(sum, ofEvents, end - middle);
      }
      at += frameSize(frame.payloadLength);
      if (at > end) sum = crc32c(bytes, end, at, sum);
    }
    return crc32c(bytes, FRAME_HEADER_BYTES, at) === sum;
  }

  /** The sums are right: taking them again would be half of the time of a start. */
  #tellSound(bytes: Uint8Array): void {
    const frame = this.#frame;
    const view = viewOf(bytes);
    let at = FRAME_HEADER_BYTES;
    for (let i = 0; i < this.#group.chain; i += 1) {
      readFields(view, at, frame);
      const from = at + FRAME_HEADER_BYTES;
      if (frame.lsn >= this.#replayLsn) {
        const isData = frame.type === TYPE_DATA;
        this.#sink.onFrame(
          frame,
          bytes,
          from,
          isData ? batchLengthOf(bytes, from, frame.flags) : 0,
        );
      }
      at += frameSize(frame.payloadLength);
    }
  }

  /** Tells the sound frames of a group that is not, and who lost the others. */
  #salvage(bytes: Uint8Array, lsn: number): void {
    const frame = this.#frame;
    const view = viewOf(bytes);
    let at = FRAME_HEADER_BYTES;
    for (let i = 0; i < this.#group.chain; i += 1) {
      if (!this.#isFrameAt(bytes, view, at, lsn)) {
        this.#damage(lsn + at);
        return;
      }
      const from = at + FRAME_HEADER_BYTES;
      const batchLength = this.#soundBatchLength(bytes, from);
      if (frame.lsn >= this.#replayLsn) {
        if (batchLength < 0) this.#sink.onDamagedLog(frame.logId);
        else this.#sink.onFrame(frame, bytes, from, batchLength);
      }
      at += frameSize(frame.payloadLength);
    }
  }

  /** Length of the batch in front of the payload of the frame read last, 0 for none, or -1 if that cannot be. */
  #batchLength(bytes: Uint8Array, from: number): number {
    const { type, flags, payloadLength } = this.#frame;
    if (type !== TYPE_DATA) return 0;
    const length = batchLengthOf(bytes, from, flags);
    if (length > payloadLength || (length > 0 && length <= BATCH_CRC_FROM)) return -1;
    return length < 0 ? -1 : length;
  }

  /** As `#batchLength`, and -1 if a checksum of the payload is wrong. */
  #soundBatchLength(bytes: Uint8Array, from: number): number {
    const { crc32c } = this.#codec;
    const { payloadCrc, payloadLength } = this.#frame;
    const length = this.#batchLength(bytes, from);
    if (length < 0) return -1;
    const middle = from + length;
    const ofEvents = crc32c(bytes, middle, from + payloadLength);
    if (length === 0) return ofEvents === payloadCrc ? 0 : -1;
    if (crc32c(bytes, from, from + BATCH_CRC_FROM, ofEvents) !== payloadCrc) return -1;
    const sum = crc32c(bytes, from + BATCH_CRC_FROM, middle);
    return sum === readU32(bytes, from + CRC_AT) ? length : -1;
  }

  /**
   * The group at `lsn` of file `index` is bad. Undefined: a tear, the log ends there. Else what is sound
   * in it was told, who lost frames too, and the answer is where to go on.
   */
  async #corruptionEnd(index: number, lsn: number): Promise<number | undefined> {
    const after = await this.#groupsAfter(index, lsn);
    if (after.durable <= lsn) return undefined;
    const { file } = this.#files[index]!;
    const bytes = await this.#groupBytes(file, lsn);
    if (bytes !== undefined) {
      this.#salt = this.#group.salt;
      this.#salvage(bytes, lsn);
      return lsn + bytes.length;
    }
    const next = after.nextInFile ?? this.#files[index + 1]?.file.firstLsn ?? after.durable;
    // What no state needs any more is nobody's loss.
    if (next > this.#replayLsn) this.#damage(lsn);
    if (after.nextInFile !== undefined) this.#salt = after.salt;
    return next;
  }

  /** Looks at every block behind `lsn` for group headers that belong there. */
  async #groupsAfter(
    index: number,
    lsn: number,
  ): Promise<{ durable: number; nextInFile: number | undefined; salt: number }> {
    const found = { durable: 0, nextInFile: undefined as number | undefined, salt: 0 };
    const header = new FrameFields();
    for (let i = index; i < this.#files.length; i += 1) {
      const { file } = this.#files[i]!;
      const endLsn = this.#files[i + 1]?.file.firstLsn ?? file.firstLsn + file.size - BLOCK_BYTES;
      const from = i === index ? lsn + BLOCK_BYTES : file.firstLsn;
      // A file begins only when everything before it is durable.
      if (i > index) found.durable = Math.max(found.durable, file.firstLsn);
      for (let at = from; at < endLsn; at += BLOCK_BYTES) {
        const bytes = await this.#window.at(file, file.positionOf(at), FRAME_HEADER_BYTES);
        if (bytes.length < FRAME_HEADER_BYTES) break;
        if (!this.#readHeader(bytes, 0, at, header)) continue;
        if (header.type !== TYPE_GROUP || header.lsn !== at) continue;
        found.durable = Math.max(found.durable, header.seq);
        if (i === index && found.nextInFile === undefined) {
          found.nextInFile = at;
          found.salt = (header.flags & NEW_SALT) === 0 ? header.salt : header.payloadCrc;
        }
      }
    }
    return found;
  }
}
