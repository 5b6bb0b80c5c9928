// The entries of one field table or array, one after another, as positions: for whoever looks at headers of every
// message and makes no objects. What is inside a value (another table) is left alone.
//
// The bytes were checked before: `skipTable` has gone over them. Layout and tags: field-table.ts.
import { EMPTY_BYTES, readU32 } from '../../../std/bytes.ts';
import { VALUE_BYTES } from './field-table.ts';

/** Bytes of a size field. */
const SIZE_BYTES = 4;

export class TableWalk {
  bytes: Uint8Array = EMPTY_BYTES;
  /** The name, without its size. Of an array's element: empty. */
  nameAt = 0;
  nameSize = 0;
  /** As on the wire: a character code. */
  tag = 0;
  /** The value; of text, bytes, tables and arrays behind their size field. */
  valueAt = 0;
  valueSize = 0;
  /** Where the entry starts, with the size of its name. */
  entryAt = 0;
  /** The next entry, or the end. */
  nextAt = 0;
  #end = 0;
  #isTable = true;

  /** Begins a table whose size field is at `at`. */
  openTable(bytes: Uint8Array, at: number): void {
    this.#open(bytes, at, true);
  }

  /** Begins an array whose size field is at `at`. */
  openArray(bytes: Uint8Array, at: number): void {
    this.#open(bytes, at, false);
  }

  /** Moves to the next entry; false at the end. */
  next(): boolean {
    const { bytes } = this;
    let at = this.nextAt;
    if (at >= this.#end) return false;
    this.entryAt = at;
    this.nameSize = this.#isTable ? bytes[at]! : 0;
    if (this.#isTable) at += 1;
    this.nameAt = at;
    at += this.nameSize;
    this.tag = bytes[at]!;
    at += 1;
    const fixed = VALUE_BYTES[this.tag]!;
    this.valueAt = fixed < 0 ? at + SIZE_BYTES : at;
    this.valueSize = fixed < 0 ? readU32(bytes, at) : fixed;
    this.nextAt = this.valueAt + this.valueSize;
    return true;
  }

  /** Is the name this one, in ASCII? */
  isNamed(name: string): boolean {
    if (name.length !== this.nameSize) return false;
    for (let i = 0; i < name.length; i += 1) {
      if (this.bytes[this.nameAt + i] !== name.charCodeAt(i)) return false;
    }
    return true;
  }

  #open(bytes: Uint8Array, at: number, isTable: boolean): void {
    this.bytes = bytes;
    this.#isTable = isTable;
    this.nextAt = at + SIZE_BYTES;
    this.#end = this.nextAt + readU32(bytes, at);
  }
}
