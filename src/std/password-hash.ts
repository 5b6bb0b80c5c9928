// Passwords as they are kept: RabbitMQ's `rabbit_password_hashing_sha256` (rabbit_password.erl), so that its definitions
// can be taken over: 4 bytes of salt, then SHA-256 of salt and password. One look at a password is one or two blocks of
// SHA-256, done in the turn: nothing of it waits for, or takes, threads that writes to the disk need. What is slow to
// guess by whoever has the hash is a long password, not this.
import { SHA256_BYTES, sha256 } from './sha256.ts';
import { encodeUtf8 } from './utf8.ts';

const SALT_BYTES = 4;
export const PASSWORD_HASH_BYTES = SALT_BYTES + SHA256_BYTES;

/** `salt`: 4 bytes, others for every password. */
export function passwordHash(salt: Uint8Array, password: string): Uint8Array {
  if (salt.length !== SALT_BYTES) throw new RangeError(`a salt has ${SALT_BYTES} bytes`);
  const hash = new Uint8Array(PASSWORD_HASH_BYTES);
  hash.set(salt);
  hash.set(sha256(salt, encodeUtf8(password)), SALT_BYTES);
  return hash;
}

/** An empty hash is no password's. Takes as long whether much or little of it is right. */
export function isPasswordOf(hash: Uint8Array, password: string): boolean {
  if (hash.length !== PASSWORD_HASH_BYTES) return false;
  const given = passwordHash(hash.subarray(0, SALT_BYTES), password);
  let difference = 0;
  for (let i = SALT_BYTES; i < PASSWORD_HASH_BYTES; i += 1) difference |= hash[i]! ^ given[i]!;
  return difference === 0;
}
