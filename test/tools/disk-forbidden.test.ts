import { expect, test } from 'vitest';
import { isForbidden } from '../../tools/conformance-disk/forbidden.mjs';

test.each([
  'strace ended with 1: strace: attach: ptrace(PTRACE_SEIZE, 123): Operation not permitted',
  'strace ended with 1: strace: Could not attach to process. If your uid matches the uid of the target',
  'strace spawn strace ENOENT: ',
  'strace ended with 1: strace: ptrace(PTRACE_TRACEME, ...): Function not implemented',
  'mount: /tmp/x/disk: permission denied.',
  'mount: /tmp/x/disk: must be superuser to use mount.',
  'mount: only root can use "--types" option',
  "mount: /tmp/x/disk: unknown filesystem type 'tmpfs'.",
])('a machine forbids it: %s', (message) => {
  expect(isForbidden(message)).toBe(true);
});

test.each([
  'strace did not attach: ',
  'not understood in a trace: write(3, ...',
  "strace ended with 1: strace: invalid system call 'pwrite65'",
  'strace ended with 139: ',
  'mount: /tmp/x/disk: mount point does not exist.',
  'mount: bad usage',
])('anything else is a failure of the run: %s', (message) => {
  expect(isForbidden(message)).toBe(false);
});
