// What the figures of a disk mean for a broker: pure, from what was measured and what the system says
// to sentences. A sync that is faster than any device tells that nothing was written to one.
import type { DiskFigures } from './measure.ts';
import { GROUP_MESSAGES } from './measure.ts';
import type { Mount } from './mount.ts';

export interface DiskFacts {
  readonly mount: Mount;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Soft limit of open files; undefined: not known. */
  readonly filesMax: number | undefined;
  /** LD_PRELOAD, where libraries that skip syncs hide. */
  readonly preload: string;
}

export interface Finding {
  /** `warn`: know this before you trust it. */
  readonly level: 'ok' | 'warn';
  readonly text: string;
}

/** Strongest first. */
type Carried = 'sync' | 'replicated' | 'memory';

export interface Verdict {
  readonly findings: readonly Finding[];
  /** The strongest durability that the disk can carry. */
  readonly durability: Carried;
  readonly durabilityText: string;
  /** Durable messages of 1 KB per second of one shard with 64 publishers that wait. */
  readonly messagesPerS: number;
}

const IN_MEMORY = new Set(['tmpfs', 'ramfs']);
const OVER_NETWORK = /^(nfs\d*|cifs|smb\w*|9p|virtiofs|fuse(\..*)?|ceph|glusterfs|afs)$/;
/** Nothing writes a block to a device that outlives power in less: a call to the kernel takes one of them. */
const UNREAL_SYNC_US = 8;
/** Below it only memory with a capacitor behind it answers. */
const PROTECTED_SYNC_US = 40;
const SLOW_SYNC_US = 10_000;
const FREE_BYTES_LOW = 1 << 30;
const FILES_LOW = 4_096;

export function judge(facts: DiskFacts, figures: DiskFigures): Verdict {
  const findings: Finding[] = [];
  const place = placeOf(facts.mount);
  const sync = syncOf(facts, figures);
  findings.push(place.finding, sync.finding, ...roomOf(facts), ...limitsOf(facts));
  const isReal = place.outlives && sync.isReal;
  const durability: Carried = isReal ? 'sync' : place.outlives ? 'replicated' : 'memory';
  return {
    findings,
    durability,
    durabilityText: DURABILITY_TEXT[durability],
    messagesPerS: Math.round((GROUP_MESSAGES * 1_000_000) / Math.max(1, figures.syncGroup.p50Us)),
  };
}

const DURABILITY_TEXT: Readonly<Record<Carried, string>> = {
  sync: 'sync: what is acknowledged survives a power cut of this machine',
  replicated:
    'replicated: what is acknowledged survives a killed process; against a power cut it needs replicas on machines that do not share this power',
  memory: 'memory: what is stored here is gone with the machine, or the container',
};

interface Place {
  readonly finding: Finding;
  readonly outlives: boolean;
}

function placeOf({ type, point, options }: Mount): Place {
  const where = `${type} at ${point}`;
  if (IN_MEMORY.has(type)) {
    return {
      finding: warn(`${where} is memory: nothing in it outlives a reboot`),
      outlives: false,
    };
  }
  if (type === 'overlay') {
    const text = `${where} is a layer of a container and is gone with it: put the data folder on a volume`;
    return { finding: warn(text), outlives: false };
  }
  if (OVER_NETWORK.test(type)) {
    const text = `${where} is served by another program or machine: what a sync means there, only that one knows`;
    return { finding: warn(text), outlives: true };
  }
  const off = options.find((each) => each === 'nobarrier' || each === 'barrier=0');
  if (off !== undefined) {
    const text = `${where} is mounted with ${off}: syncs stop in the cache of the drive`;
    return { finding: warn(text), outlives: true };
  }
  return { finding: { level: 'ok', text: where }, outlives: true };
}

interface Sync {
  readonly finding: Finding;
  readonly isReal: boolean;
}

function syncOf({ mount, preload }: DiskFacts, { syncBlock }: DiskFigures): Sync {
  const { p50Us, p99Us } = syncBlock;
  const took = `a sync takes ${p50Us} us (p99 ${p99Us} us)`;
  if (/eatmydata/.test(preload)) {
    return { finding: warn(`LD_PRELOAD has ${preload}, which skips syncs`), isReal: false };
  }
  if (IN_MEMORY.has(mount.type)) return { finding: ok(`${took}, of memory`), isReal: false };
  if (p50Us < UNREAL_SYNC_US) {
    return { finding: warn(`${took}: no device is that fast, it is skipped`), isReal: false };
  }
  const hasNoBarrier = mount.options.some((each) => each === 'nobarrier' || each === 'barrier=0');
  if (hasNoBarrier) return { finding: warn(`${took}, without reaching the drive`), isReal: false };
  if (p50Us < PROTECTED_SYNC_US) {
    const text = `${took}: real only on a drive with power-loss protection, or a host that promises it`;
    return { finding: warn(text), isReal: true };
  }
  if (p50Us > SLOW_SYNC_US) {
    return { finding: warn(`${took}: confirms will wait for it`), isReal: true };
  }
  return { finding: ok(took), isReal: true };
}

function roomOf({ freeBytes, totalBytes }: DiskFacts): Finding[] {
  const share = totalBytes === 0 ? 0 : Math.round((freeBytes / totalBytes) * 100);
  const text = `${(freeBytes / 2 ** 30).toFixed(1)} GiB are free (${share} %)`;
  return [freeBytes < FREE_BYTES_LOW ? warn(`${text}: little for a log`) : ok(text)];
}

function limitsOf({ filesMax }: DiskFacts): Finding[] {
  if (filesMax === undefined) return [];
  const text = `${filesMax} files and connections may be open at once`;
  return [filesMax < FILES_LOW ? warn(`${text}: raise it with ulimit -n`) : ok(text)];
}

function ok(text: string): Finding {
  return { level: 'ok', text };
}

function warn(text: string): Finding {
  return { level: 'warn', text };
}
