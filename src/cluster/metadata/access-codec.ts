// Bytes of vhosts, users and permissions, and of the commands about them; see `command-codec.ts` for the frame.
import { type ByteReader, BytesError, type ByteWriter } from '../../std/bytes.ts';
import {
  type AccessCommand,
  type PermissionRecord,
  USER_TAGS,
  type UserRecord,
  type UserTag,
} from './access-types.ts';
import type { CommandCodec } from './command-codec.ts';
import { readList, writeList } from './fields.ts';

function writeTags(out: ByteWriter, tags: readonly UserTag[]): void {
  writeList(out, tags, (to, tag) => to.u8(USER_TAGS.indexOf(tag)));
}

function readTags(input: ByteReader): readonly UserTag[] {
  return readList(input, (from) => {
    const code = from.u8();
    const tag = USER_TAGS[code];
    if (tag === undefined) throw new BytesError('BYTES_TRUNCATED', 'an unknown tag', { code });
    return tag;
  });
}

export function writeUser(out: ByteWriter, user: UserRecord): void {
  out.text(user.name);
  out.sized(user.passwordHash);
  writeTags(out, user.tags);
}

export function readUser(input: ByteReader): UserRecord {
  const name = input.text();
  const passwordHash = input.sized().slice();
  return { name, passwordHash, tags: readTags(input) };
}

export function writePermission(out: ByteWriter, permission: PermissionRecord): void {
  out.text(permission.user);
  out.text(permission.vhost);
  out.text(permission.configure);
  out.text(permission.write);
  out.text(permission.read);
}

export function readPermission(input: ByteReader): PermissionRecord {
  const user = input.text();
  const vhost = input.text();
  const configure = input.text();
  const write = input.text();
  return { user, vhost, configure, write, read: input.text() };
}

function writeName(out: ByteWriter, { name }: { readonly name: string }): void {
  out.text(name);
}

function readName(input: ByteReader): { readonly name: string } {
  return { name: input.text() };
}

export const ACCESS_CODECS: { readonly [K in AccessCommand['kind']]: CommandCodec<K> } = {
  'put-user': {
    code: 37,
    write(out, command) {
      out.text(command.name);
      out.u8(command.passwordHash === undefined ? 0 : 1);
      if (command.passwordHash !== undefined) out.sized(command.passwordHash);
      out.u8(command.tags === undefined ? 0 : 1);
      if (command.tags !== undefined) writeTags(out, command.tags);
    },
    read(input) {
      const name = input.text();
      const passwordHash = input.u8() === 0 ? undefined : input.sized().slice();
      return { name, passwordHash, tags: input.u8() === 0 ? undefined : readTags(input) };
    },
  },
  'delete-user': { code: 38, write: writeName, read: readName },
  'put-vhost': { code: 39, write: writeName, read: readName },
  'delete-vhost': { code: 40, write: writeName, read: readName },
  'put-permission': { code: 41, write: writePermission, read: readPermission },
  'delete-permission': {
    code: 42,
    write(out, command) {
      out.text(command.user);
      out.text(command.vhost);
    },
    read: (input) => ({ user: input.text(), vhost: input.text() }),
  },
};
