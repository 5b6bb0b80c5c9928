// Headers of a message, and what a binding wants of them, in the broker's neutral form: so that routing compares bytes
// and knows no field types.
import { encodeHeaderMatch, type HeaderForm, type HeaderMatchMode } from '../../../broker/ports.ts';
import { ByteWriter, EMPTY_BYTES, readI32, readU32 } from '../../../std/bytes.ts';
import {
  type FieldTable,
  fieldOf,
  type Refusal,
  refusals,
  type TableWalk,
  writeTable,
} from '../codec/index.ts';

const MODES: readonly HeaderMatchMode[] = ['all', 'any', 'all-with-x', 'any-with-x'];

/** Writes the table whose size field is at `at`. The form is emptied first. */
export function writeHeaderForm(
  form: HeaderForm,
  walk: TableWalk,
  bytes: Uint8Array,
  at: number,
): void {
  form.reset();
  walk.openTable(bytes, at);
  while (walk.next()) {
    form.name(bytes, walk.nameAt, walk.nameAt + walk.nameSize);
    writeValue(form, walk);
  }
}

function writeValue(form: HeaderForm, { bytes, tag, valueAt, valueSize }: TableWalk): void {
  switch (String.fromCharCode(tag)) {
    case 'S':
    case 'x':
      form.text(bytes, valueAt, valueAt + valueSize);
      return;
    case 't':
      form.bool(bytes[valueAt] !== 0);
      return;
    case 'I':
      form.number(readI32(bytes, valueAt));
      return;
    case 'l':
    case 'L':
    case 'T':
      form.whole(readU32(bytes, valueAt), readU32(bytes, valueAt + 4));
      return;
    case 'D':
      form.decimal(bytes[valueAt]!, readU32(bytes, valueAt + 1));
      return;
    case 'A':
      form.array(bytes, valueAt, valueAt + valueSize);
      return;
    case 'F':
      form.table(bytes, valueAt, valueAt + valueSize);
      return;
    case 'V':
      form.nothing();
      return;
    default:
      form.number(smallNumber(bytes, tag, valueAt));
  }
}

function smallNumber(bytes: Uint8Array, tag: number, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  switch (String.fromCharCode(tag)) {
    case 'b':
      return view.getInt8(0);
    case 'B':
      return view.getUint8(0);
    case 's':
      return view.getInt16(0);
    case 'u':
      return view.getUint16(0);
    case 'i':
      return view.getUint32(0);
    case 'f':
      return view.getFloat32(0);
    default:
      return view.getFloat64(0);
  }
}

/** What a binding with these arguments wants; no bytes where its exchange does not look at headers. */
export function headerMatchOf(
  exchangeType: string,
  table: FieldTable,
  form: HeaderForm,
  walk: TableWalk,
): { readonly bytes: Uint8Array } | { readonly refusal: Refusal } {
  if (exchangeType !== 'headers') return { bytes: EMPTY_BYTES };
  const match = fieldOf(table, 'x-match');
  const word = match === undefined ? 'all' : match.type === 'longstr' ? match.value : undefined;
  const mode = MODES.find((each) => each === word);
  if (mode === undefined) return { refusal: refusals.badMatch(match!) };
  const writer = new ByteWriter(64);
  writeTable(writer, table);
  writeHeaderForm(form, walk, writer.bytes, 0);
  return { bytes: encodeHeaderMatch(mode, form) };
}
