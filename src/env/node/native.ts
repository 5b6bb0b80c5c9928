// System calls that Node does not offer, through koffi's prebuilt binary: dup, sendfile, preadv2.
// Each may be missing, and whoever uses one has another way. We depend on koffi's platform packages,
// not on koffi itself: those carry the binary and its loader, and have no install script.
import { createRequire } from 'node:module';

/** What a call answered: a count or descriptor, or -1 and the errno. */
export interface NativeCalls {
  /** dup(2): a second descriptor of the same socket or file; throws with the errno. */
  readonly dup?: (fd: number) => number;
  /** sendfile(2), Linux: bytes moved, or the negated errno. Never blocks on the socket. */
  readonly sendfile?: (socketFd: number, fileFd: number, position: number, count: number) => number;
  /**
   * preadv2(2) with RWF_NOWAIT, Linux: bytes read from the page cache, or the negated errno
   * (EAGAIN: not cached). Not every file system can.
   */
  readonly preadNowait?: (fileFd: number, into: Uint8Array, position: number) => number;
}

/** One row of the capability table that a node prints at start. */
export interface Capability {
  readonly name: string;
  readonly isUsed: boolean;
  /** What is done instead, or why it is off. */
  readonly note: string;
}

export interface Native {
  readonly calls: NativeCalls;
  readonly capabilities: readonly Capability[];
}

export const EAGAIN = 11;
const RWF_NOWAIT = 8;
const TWO_32 = 0x1_0000_0000;

interface KoffiLibrary {
  func(
    name: string,
    result: string,
    parameters: readonly unknown[],
  ): (...values: unknown[]) => unknown;
}

interface Koffi {
  readonly version: string;
  load(path: string | null): KoffiLibrary;
  errno(): number;
  address(bytes: Uint8Array): bigint;
}

function loadKoffi(): Koffi | string {
  const name = `@koromix/koffi-${process.platform}-${process.arch}`;
  try {
    return createRequire(import.meta.url)(name) as Koffi;
  } catch (error) {
    return `${name}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
  }
}

/** A libc function, or the reason why there is none. */
function bind(
  koffi: Koffi | string,
  name: string,
  result: string,
  parameters: readonly string[],
): ((...values: unknown[]) => number) | string {
  if (typeof koffi === 'string') return koffi;
  try {
    const call = koffi.load(null).func(name, result, parameters);
    return (...values) => {
      const count = Number(call(...values));
      return count >= 0 ? count : -koffi.errno();
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Splits a file position into the eight bytes of an off_t, without BigInt. Little-endian systems. */
function putPosition(into: DataView, position: number): void {
  into.setUint32(0, position % TWO_32, true);
  into.setUint32(4, Math.floor(position / TWO_32), true);
}

function bindSendfile(koffi: Koffi | string): NativeCalls['sendfile'] | string {
  // On other systems the function of this name takes other arguments.
  if (process.platform !== 'linux') return 'Linux only';
  const call = bind(koffi, 'sendfile', 'int64_t', ['int', 'int', 'void *', 'size_t']);
  if (typeof call === 'string') return call;
  const offset = new Uint8Array(8);
  const view = new DataView(offset.buffer);
  return (socketFd, fileFd, position, count) => {
    putPosition(view, position);
    return call(socketFd, fileFd, offset, count);
  };
}

function bindPreadNowait(koffi: Koffi | string): NativeCalls['preadNowait'] | string {
  if (process.platform !== 'linux') return 'Linux only';
  if (typeof koffi === 'string') return koffi;
  const call = bind(koffi, 'preadv2', 'int64_t', ['int', 'void *', 'int', 'int64_t', 'int']);
  if (typeof call === 'string') return call;
  // struct iovec: base address, length; filled by hand so that a read allocates nothing but one BigInt.
  const vector = new Uint8Array(16);
  const view = new DataView(vector.buffer);
  return (fileFd, into, position) => {
    view.setBigUint64(0, koffi.address(into), true);
    view.setBigUint64(8, BigInt(into.length), true);
    return call(fileFd, vector, 1, position, RWF_NOWAIT);
  };
}

function row<T>(name: string, bound: T | string | undefined, otherwise: string): Capability {
  const isUsed = bound !== undefined && typeof bound !== 'string';
  return { name, isUsed, note: isUsed ? '' : `${otherwise} (${bound ?? 'switched off'})` };
}

/**
 * Binds what this platform has. `isEnabled: false` gives the table of a machine without koffi, which
 * is how tests run the other ways.
 */
export function loadNative(isEnabled = true): Native {
  const koffi = isEnabled ? loadKoffi() : 'switched off';
  const dup = bind(koffi, 'dup', 'int', ['int']);
  const sendfile = bindSendfile(koffi);
  const preadNowait = bindPreadNowait(koffi);
  return {
    calls: {
      ...(typeof dup === 'string' ? {} : { dup: (fd: number) => dupOrThrow(dup, fd) }),
      ...(typeof sendfile === 'function' ? { sendfile } : {}),
      ...(typeof preadNowait === 'function' ? { preadNowait } : {}),
    },
    capabilities: [
      row('dup', dup, 'connections stay on the main thread'),
      row('sendfile', sendfile, 'files are read and written'),
      row('preadv2', preadNowait, 'small reads go through the thread pool'),
    ],
  };
}

function dupOrThrow(dup: (fd: number) => number, fd: number): number {
  const copy = dup(fd);
  if (copy >= 0) return copy;
  throw Object.assign(new Error(`dup(${fd}) failed with errno ${-copy}`), { errno: -copy });
}
