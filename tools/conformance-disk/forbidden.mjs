// Which words of strace, mount and the system say that this machine does not allow something, or does not have it.
// Anything else that goes wrong is a failure of the run: it must not pass for a machine on which nothing can be seen.

const WORDS =
  /operation not permitted|permission denied|EPERM|EACCES|ENOENT|function not implemented|could not attach to process|must be superuser|only root|unknown filesystem type/i;

export function isForbidden(message) {
  return WORDS.test(message);
}
