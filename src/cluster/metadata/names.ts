// What a name of a destination, an exchange or an exchange type may be, whoever chose it.
import { utf8Size } from '../../std/bytes.ts';

const NAME_BYTES_MAX = 255;

/** 1 to 255 bytes of UTF-8 without control characters, and not a step in a path. */
export function isValidName(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false;
  for (let i = 0; i < name.length; i += 1) {
    const unit = name.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return false;
  }
  return utf8Size(name) <= NAME_BYTES_MAX;
}
