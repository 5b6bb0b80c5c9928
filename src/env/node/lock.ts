// A lock file that names its holder: process id, when that process started, the machine, and a text. A holder
// that is gone, or whose number now belongs to another process, holds nothing, so that kill -9 and a
// power cut leave no lock behind. It says nothing of processes that this machine cannot see: one lock file on
// two machines (a copy, a shared mount) keeps nobody out. Invariant: a lock file appears with its whole content
// or not at all.
import fs from 'node:fs';
import { hostname } from 'node:os';

/** The holder of a lock file. */
export interface LockHolder {
  readonly pid: number;
  /** Identifies the process among those that had this pid: boot and start tick, or '' where unknown. */
  readonly started: string;
  readonly takenAtMs: number;
  readonly text: string;
  /** Of the machine, for people; absent in files of earlier versions. */
  readonly host?: string;
}

const CLOCK_SLACK_MS = 2000;

/** When the process started, in a form that only it has; '' if the system does not tell. */
export function processStart(pid: number): string {
  if (process.platform !== 'linux') return '';
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in field 2 may contain spaces and parentheses; field 22 is the start tick.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}/${ticks}`;
  } catch {
    return '';
  }
}

/** True if a process with this number runs (also one that we may not signal). */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  // A zombie answers to signals but holds nothing.
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return true;
  }
}

function isLive(holder: LockHolder): boolean {
  if (!isProcessAlive(holder.pid)) return false;
  if (holder.started !== '') return processStart(holder.pid) === holder.started;
  if (holder.pid !== process.pid) return true;
  // Our own number in a lock older than ourselves: a former process, for example in a container.
  return holder.takenAtMs >= Date.now() - process.uptime() * 1000 - CLOCK_SLACK_MS;
}

function read(path: string): { readonly raw: string; readonly holder?: LockHolder } | undefined {
  let raw: string;
  try {
    raw = fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return { raw, holder: JSON.parse(raw) as LockHolder };
  } catch {
    return { raw };
  }
}

/** Who holds the lock now, or undefined if nobody alive does. */
export function lockHolder(path: string): LockHolder | undefined {
  const holder = read(path)?.holder;
  return holder !== undefined && isLive(holder) ? holder : undefined;
}

/** Who holds the lock, in words; undefined if nobody alive does. */
export function lockedBy(path: string): string | undefined {
  const holder = lockHolder(path);
  if (holder === undefined) return undefined;
  const where = holder.host === undefined ? '' : ` on ${holder.host}`;
  const since = new Date(holder.takenAtMs).toISOString();
  return `process ${holder.pid}${where} (${holder.text}, since ${since})`;
}

function createWhole(path: string, raw: string): boolean {
  const own = `${path}.${process.pid}`;
  try {
    fs.writeFileSync(own, raw, { mode: 0o640 });
    fs.linkSync(own, path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') return false;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
  } finally {
    fs.rmSync(own, { force: true });
  }
  // A file system without hard links: exclusive creation is the next best.
  try {
    fs.writeFileSync(path, raw, { flag: 'wx', mode: 0o640 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes a lock whose content was judged dead; gives it back if it was another by then. */
function removeDead(path: string, raw: string): void {
  const aside = `${path}.dead.${process.pid}`;
  try {
    fs.renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    if (fs.readFileSync(aside, 'utf8') !== raw) fs.linkSync(aside, path);
  } finally {
    fs.unlinkSync(aside);
  }
}

/** On a full disk there is no room for a file of one's own, but that of the dead has its block: it is taken over. */
function takeOver(path: string, dead: string, raw: string): boolean {
  const own = `${path}.${process.pid}`;
  try {
    fs.renameSync(path, own);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    const isDead = fs.readFileSync(own, 'utf8') === dead;
    // Padded, so that nothing of the old text is left behind the new; JSON may end with spaces.
    if (isDead) fs.writeFileSync(own, raw.padEnd(dead.length), { flag: 'r+' });
    fs.linkSync(own, path);
    return isDead;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    fs.unlinkSync(own);
  }
}

/** Takes the lock file at `path` for this process; undefined if another live process has it. */
export function takeLock(path: string, text: string): { release(): void } | undefined {
  const holder: LockHolder = {
    pid: process.pid,
    started: processStart(process.pid),
    takenAtMs: Date.now(),
    text,
    host: hostname(),
  };
  const raw = `${JSON.stringify(holder)}\n`;
  const taken = {
    release() {
      if (read(path)?.raw.trimEnd() === raw.trimEnd()) fs.unlinkSync(path);
    },
  };
  // Each round either wins, meets a live holder, or removes a dead one.
  for (let round = 0; round < 3; round += 1) {
    let full: unknown;
    try {
      if (createWhole(path, raw)) return taken;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      full = error;
    }
    const found = read(path);
    if (found === undefined) {
      if (full !== undefined) throw full;
      continue;
    }
    if (found.holder !== undefined && isLive(found.holder)) return undefined;
    if (full === undefined) removeDead(path, found.raw);
    else if (takeOver(path, found.raw, raw)) return taken;
  }
  return undefined;
}

/** Removes the lock at `path` if this very process took it: for one whose thread has died. */
export function releaseOwnLock(path: string): void {
  const holder = read(path)?.holder;
  if (holder?.pid === process.pid && isLive(holder)) fs.unlinkSync(path);
}
