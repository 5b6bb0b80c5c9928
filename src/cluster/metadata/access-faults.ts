// What is wrong with a user or a permission, wherever it comes from: a command, or bytes of a snapshot.
import { PASSWORD_HASH_BYTES } from '../../std/password-hash.ts';
import { Pattern, PatternError } from '../../std/pattern.ts';
import { type PermissionRecord, USER_TAGS, type UserRecord } from './access-types.ts';
import { isValidName } from './names.ts';

/** Why it is not kept, as a sentence. */
export function userFault({ name, passwordHash, tags }: UserRecord): string | undefined {
  if (!isValidName(name)) return 'a name has 1 to 255 printable bytes';
  if (passwordHash.length !== 0 && passwordHash.length !== PASSWORD_HASH_BYTES) {
    return `a password hash has ${PASSWORD_HASH_BYTES} bytes, or none`;
  }
  const places = tags.map((tag) => USER_TAGS.indexOf(tag));
  const areSorted = places.every((place, i) => place > (places[i - 1] ?? -1));
  return areSorted ? undefined : 'tags are known ones, each once, in their order';
}

/** What is wrong with its patterns, as a sentence. */
export function permissionFault(permission: PermissionRecord): string | undefined {
  for (const verb of ['configure', 'write', 'read'] as const) {
    try {
      if (permission[verb] !== '') new Pattern(permission[verb]);
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      return `${verb}: ${error.message}`;
    }
  }
  return undefined;
}
