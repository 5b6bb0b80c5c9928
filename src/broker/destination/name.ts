// Which names a destination may have. The rules are Kafka's, the strictest of the protocols served, so a
// destination made by one protocol can be named by all. A name is never a path: storage uses log ids.

const DESTINATION_NAME_CHARS_MAX = 249;

/** Why a name is refused, as a sentence for people, or undefined for a good name. */
export function refuseDestinationName(name: string): string | undefined {
  if (name.length === 0) return 'a destination name may not be empty';
  if (name === '.' || name === '..') return `a destination may not be called "${name}"`;
  if (name.length > DESTINATION_NAME_CHARS_MAX) {
    return `a destination name has at most ${DESTINATION_NAME_CHARS_MAX} characters`;
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return 'a destination name consists of letters, digits, ".", "_" and "-"';
  }
  return undefined;
}
