// Notices that whoever started this process is gone, also by SIGKILL, which tells nobody. A process
// whose parent dies gets another parent; asking for its number is one cheap system call.
import fs from 'node:fs';
import { isProcessAlive, processStart } from '../../env/node/lock.ts';

const POLL_MS = 400;

/** Calls `gone` once when the starter has ended. The returned function stops watching. */
export function watchStarter(gone: () => void): () => void {
  const isGone = starterProbe();
  const timer = setInterval(() => {
    if (!isGone()) return;
    clearInterval(timer);
    gone();
  }, POLL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function starterProbe(): () => boolean {
  const parent = process.ppid;
  // Started by init or as the first process of a container: nobody to outlive.
  if (parent <= 1) return () => false;
  const beyond = npmBehindShell(parent);
  return () =>
    process.ppid !== parent ||
    (beyond !== undefined &&
      !(isProcessAlive(beyond.pid) && processStart(beyond.pid) === beyond.started));
}

/** npm runs scripts through a shell, and some shells stay in between: then npm is the one to watch. */
function npmBehindShell(
  parent: number,
): { readonly pid: number; readonly started: string } | undefined {
  if (
    process.env['npm_lifecycle_event'] === undefined &&
    process.env['npm_command'] === undefined
  ) {
    return undefined;
  }
  try {
    const stat = fs.readFileSync(`/proc/${parent}/stat`, 'utf8');
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    if (!/^(sh|dash|bash|ash|zsh|busybox)$/.test(name)) return undefined;
    const pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return pid > 1 ? { pid, started: processStart(pid) } : undefined;
  } catch {
    return undefined;
  }
}
