// Rows to a reader and a writer. Compiled once, when a table is loaded; what comes out has no state.
//
// Reading follows the official implementations where their documents leave room: an unknown field, and a
// known one in a wire type that is not its own, is passed over; a message that comes twice is merged;
// numbers are taken packed and one by one; text must be UTF-8. Writing is canonical: fields in the
// order of their numbers, maps in the order of their keys, numbers packed, nothing that is absent.
import { FIXED32, ProtoError, SIZED, VARINT } from './wire.js';
const isZeroNumber = (value) => Object.is(value, 0);
const SCALARS = {
    int32: {
        wireType: VARINT,
        read: (reader) => reader.int32(),
        write: (writer, value) => writer.varint(value | 0),
        isZero: isZeroNumber,
    },
    int64: {
        wireType: VARINT,
        read: (reader) => reader.int64(),
        write: (writer, value) => writer.varint(value),
        isZero: isZeroNumber,
    },
    bool: {
        wireType: VARINT,
        read: (reader) => reader.bool(),
        write: (writer, value) => writer.u8(value ? 1 : 0),
        isZero: (value) => value === false,
    },
    float: {
        wireType: FIXED32,
        read: (reader) => reader.float(),
        write: (writer, value) => writer.float(value),
        isZero: isZeroNumber,
    },
    string: {
        wireType: SIZED,
        read: (reader) => reader.string(),
        write: (writer, value) => writer.text(value),
        isZero: (value) => value === '',
    },
    bytes: {
        wireType: SIZED,
        read: (reader) => reader.blob(),
        write: (writer, value) => writer.sized(value),
        isZero: (value) => value.length === 0,
    },
};
function messageField(name, row, of) {
    const { number } = row;
    const isRepeated = row.occurrence === 'repeated';
    return {
        number,
        read(reader, target) {
            if (reader.wireType !== SIZED)
                return false;
            const outerEnd = reader.enter();
            if (isRepeated)
                pushItem(reader, target, name, row.absent, of.read(reader));
            else
                target[name] = of.read(reader, target[name]);
            reader.leave(outerEnd);
            return true;
        },
        write(writer, value) {
            const given = value[name];
            if (given === undefined)
                return;
            for (const item of isRepeated ? given : [given]) {
                writer.tag(number, SIZED);
                const sizeAt = writer.openSized();
                of.write(writer, item);
                writer.closeSized(sizeAt);
            }
        },
    };
}
function pushItem(reader, target, name, absent, item) {
    reader.admitItem();
    // The absent value is shared by all messages, so the first item starts a list of its own.
    if (target[name] === absent)
        target[name] = [item];
    else
        target[name].push(item);
}
function scalarField(name, row, scalar) {
    const { number } = row;
    const isPlain = row.occurrence === 'plain';
    return {
        number,
        read(reader, target) {
            if (reader.wireType !== scalar.wireType)
                return false;
            target[name] = scalar.read(reader);
            return true;
        },
        write(writer, value) {
            const given = value[name];
            if (given === undefined || (isPlain && scalar.isZero(given)))
                return;
            writer.tag(number, scalar.wireType);
            scalar.write(writer, given);
        },
    };
}
function listField(name, row, scalar) {
    const { number, absent } = row;
    const isPackable = scalar.wireType !== SIZED;
    return {
        number,
        read(reader, target) {
            if (reader.wireType === scalar.wireType) {
                pushItem(reader, target, name, absent, scalar.read(reader));
                return true;
            }
            if (!isPackable || reader.wireType !== SIZED)
                return false;
            const outerEnd = reader.enter();
            while (reader.at < reader.end) {
                pushItem(reader, target, name, absent, scalar.read(reader));
            }
            reader.leave(outerEnd);
            return true;
        },
        write(writer, value) {
            const items = value[name];
            if (items === undefined || items.length === 0)
                return;
            if (!isPackable) {
                for (const item of items) {
                    writer.tag(number, SIZED);
                    scalar.write(writer, item);
                }
                return;
            }
            writer.tag(number, SIZED);
            const sizeAt = writer.openSized();
            for (const item of items)
                scalar.write(writer, item);
            writer.closeSized(sizeAt);
        },
    };
}
const MAP_KEY = 1;
const MAP_VALUE = 2;
function mapField(name, row) {
    const { number, absent } = row;
    return {
        number,
        read(reader, target) {
            if (reader.wireType !== SIZED)
                return false;
            reader.admitItem();
            let key = '';
            let value = '';
            const outerEnd = reader.enter();
            while (reader.nextTag()) {
                if (reader.wireType === SIZED && reader.field === MAP_KEY)
                    key = reader.string();
                else if (reader.wireType === SIZED && reader.field === MAP_VALUE)
                    value = reader.string();
                else
                    reader.skipValue();
            }
            reader.leave(outerEnd);
            if (target[name] === absent)
                target[name] = new Map([[key, value]]);
            else
                target[name].set(key, value);
            return true;
        },
        write(writer, value) {
            const entries = value[name];
            if (entries === undefined || entries.size === 0)
                return;
            for (const key of [...entries.keys()].sort()) {
                writer.tag(number, SIZED);
                const sizeAt = writer.openSized();
                writer.tag(MAP_KEY, SIZED);
                writer.text(key);
                writer.tag(MAP_VALUE, SIZED);
                writer.text(entries.get(key));
                writer.closeSized(sizeAt);
            }
        },
    };
}
function fieldOf(name, row) {
    const type = row.type;
    if (type.kind === 'message')
        return messageField(name, row, type.message);
    if (type.kind === 'map')
        return mapField(name, row);
    const scalar = SCALARS[type.kind === 'enum' ? 'int32' : type.kind];
    return row.occurrence === 'repeated'
        ? listField(name, row, scalar)
        : scalarField(name, row, scalar);
}
/** The other members of a field's oneof, which go when it comes. */
function rivalsOf(name, rows) {
    const { oneof } = rows[name];
    if (oneof === '')
        return [];
    return Object.keys(rows).filter((other) => other !== name && rows[other].oneof === oneof);
}
function withRivals(field, rivals) {
    if (rivals.length === 0)
        return field;
    return {
        ...field,
        read(reader, target) {
            if (!field.read(reader, target))
                return false;
            for (const rival of rivals)
                target[rival] = undefined;
            return true;
        },
    };
}
/** The oneofs of a table: the names of their members. */
function oneofsOf(rows) {
    const members = new Map();
    for (const [name, { oneof }] of Object.entries(rows)) {
        if (oneof !== '')
            members.set(oneof, [...(members.get(oneof) ?? []), name]);
    }
    return [...members.values()];
}
/** Two of a oneof cannot both be written: the reader would keep whichever came last. */
function refuseRivals(messageName, members, value) {
    const set = members.filter((name) => value[name] !== undefined);
    if (set.length < 2)
        return;
    throw new ProtoError('PROTO_BAD_VALUE', `${messageName}: ${set.join(' and ')} are both set`);
}
export function compile(messageName, rows) {
    const fields = [];
    const byNumber = [];
    const absent = {};
    for (const [name, row] of Object.entries(rows)) {
        const field = withRivals(fieldOf(name, row), rivalsOf(name, rows));
        if (byNumber[row.number] !== undefined) {
            throw new ProtoError('PROTO_BAD_VALUE', `${messageName}: ${row.number} is there twice`);
        }
        byNumber[row.number] = field;
        fields.push(field);
        absent[name] = row.absent;
    }
    fields.sort((a, b) => a.number - b.number);
    const oneofs = oneofsOf(rows);
    return {
        read(reader, target = { ...absent }) {
            while (reader.nextTag()) {
                const field = byNumber[reader.field];
                if (field === undefined || !field.read(reader, target))
                    reader.skipValue();
            }
            return target;
        },
        write(writer, value) {
            for (const members of oneofs)
                refuseRivals(messageName, members, value);
            for (const field of fields)
                field.write(writer, value);
        },
    };
}
