// The real world, put together for one thread. The only function of this room that other rooms'
// composition roots need; whatever it returns is built from the neighbouring files.
import { readFileSync } from 'node:fs';
import type { Crew, Environment, Log, LogLevel } from '../environment.ts';
import { createNodeClock } from './clock.ts';
import { createCrc32c, loadNativeCrc32c } from './crc.ts';
import { createNodeDisk } from './disk.ts';
import { createNodeLog } from './log.ts';
import { createMemoryDisk } from './memory-disk.ts';
import { type Capability, loadNative } from './native.ts';
import { loadGuarded } from './native-gate.ts';
import { isNativeWanted } from './native-wish.ts';
import { createNodeNet, type NodeNet } from './net.ts';
import { createNodeRandom, unguessable } from './random.ts';
import { NodeRunQueue } from './run-queue.ts';
import { createNodeThreads, type NodeThreads } from './threads.ts';
import { NodeTimers } from './timers.ts';
import { createUnpack } from './unpack.ts';

export interface NodeEnvironmentOptions {
  /** The data folder; without it everything is in memory and gone with the thread. */
  readonly dataRoot?: string;
  readonly logLevel?: LogLevel;
  /** A log to use instead of a new one on stderr. */
  readonly log?: Log;
  /**
   * False keeps native code out, as on a machine where no binary loads, also of threads that are started
   * from here. Default: true, unless the variable CALLBOARD_NATIVE is `off`.
   */
  readonly isNativeEnabled?: boolean;
  /** From `createNodeCrew`, by who has work for one: its package is not loaded with this room. */
  readonly crew?: Crew;
}

export interface NodeEnvironment extends Environment {
  readonly net: NodeNet;
  readonly threads: NodeThreads;
  /** What this machine can do, for the line that a node logs at start. */
  readonly capabilities: readonly Capability[];
  readonly isNativeEnabled: boolean;
}

/**
 * The environment of this thread.
 *
 * @throws DiskError if the data folder cannot be made.
 */
export function createNodeEnvironment(options: NodeEnvironmentOptions): NodeEnvironment {
  const isNative = isNativeWanted(options.isNativeEnabled);
  const log = options.log ?? createNodeLog({ level: options.logLevel ?? 'info' });
  const clock = createNodeClock();
  const { native, nativeCrc32c } = loadGuarded(() => ({
    native: loadNative(isNative),
    nativeCrc32c: isNative ? loadNativeCrc32c() : undefined,
  }));
  const net = createNodeNet({ native: native.calls, log });
  return {
    facts: { pid: process.pid, osBootId: readOsBootId() },
    clock,
    random: createNodeRandom(),
    timers: new NodeTimers(clock),
    runQueue: new NodeRunQueue(),
    net,
    disk: options.dataRoot === undefined ? createMemoryDisk() : createNodeDisk(options.dataRoot),
    threads: createNodeThreads({ net, log, isNative }),
    log,
    buggify: () => false,
    unguessable,
    crc32c: createCrc32c(nativeCrc32c),
    unpack: createUnpack(),
    ...(options.crew === undefined ? {} : { crew: options.crew }),
    isNativeEnabled: isNative,
    capabilities: [
      ...native.capabilities,
      {
        name: 'crc32c',
        isUsed: nativeCrc32c !== undefined,
        note: nativeCrc32c === undefined ? 'checksums in JavaScript' : '',
      },
    ],
  };
}

/** Linux says which boot of the system this is; elsewhere nothing is known to have survived. */
function readOsBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
