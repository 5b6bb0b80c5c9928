// The language of the schema tables: a row says a field's number, type and how often it occurs. The
// TypeScript types of messages are read off the rows.
//
// Presence is that of proto3: a plain field that is absent has its zero value and is not written when it
// has it; an optional field, a message and a member of a oneof may be undefined.
import { EMPTY_BYTES } from '../../../../std/bytes.js';
import { compile } from './compile.js';
/** A field: `Out` is what decoding gives, `In` what encoding takes. */
export class Row {
    number;
    type;
    occurrence;
    /** What an absent field is. */
    absent;
    /** Members of one oneof have its name: of them the last on the wire is set. */
    oneof;
    constructor(number, type, occurrence, absent, oneof = '') {
        this.number = number;
        this.type = type;
        this.occurrence = occurrence;
        this.absent = absent;
        this.oneof = oneof;
    }
}
export function message(name, rows) {
    return { name, rows, ...compile(name, rows) };
}
// ---- The words of the tables --------------------------------------------------------------------
const plain = (kind, zero) => (number) => new Row(number, { kind }, 'plain', zero);
export const int32 = plain('int32', 0);
/** Safe integers only; others are refused. */
export const int64 = plain('int64', 0);
export const bool = plain('bool', false);
export const float = plain('float', 0);
export const string = plain('string', '');
/** A view of the message. */
export const bytes = plain('bytes', EMPTY_BYTES);
/** A number; one that has no name in `values` is kept as it is, as proto3 has it. */
export function enumeration(number, values) {
    return new Row(number, { kind: 'enum', values }, 'plain', 0);
}
/** A field that knows whether it was set. */
export function optional(row) {
    return new Row(row.number, row.type, 'optional', undefined);
}
const NO_ITEMS = Object.freeze([]);
export function repeated(row) {
    return new Row(row.number, row.type, 'repeated', NO_ITEMS);
}
/** A nested message. */
export function sub(number, of) {
    return new Row(number, { kind: 'message', message: of }, 'optional', undefined);
}
const NO_ENTRIES = new Map();
export function mapOfStrings(number) {
    return new Row(number, { kind: 'map' }, 'repeated', NO_ENTRIES);
}
/** Of these rows at most one is set. */
export function oneof(name, rows) {
    const members = {};
    for (const [field, row] of Object.entries(rows)) {
        members[field] = new Row(row.number, row.type, 'optional', undefined, name);
    }
    return members;
}
