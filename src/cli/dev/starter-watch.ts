// Notices that whoever started this process is gone or was told to go, also where nobody tells us:
//
//   the parent is killed       we get another parent
//   npm is killed              we may still have the shell that npm runs scripts in: npm is watched too
//   npm gets SIGINT            it passes it to that shell, which remembers it and waits for us to end
//
// Everything is polled: a few reads of /proc, twice a second. Other systems have the first row only.
import fs from 'node:fs';
import { isProcessAlive, processStart } from '../../env/node/lock.ts';

const POLL_MS = 400;

/** The shell that has just started us has surely gone to sleep by then. */
const FIRST_LOOK_MS = 100;

/** A longer pause between two polls means that the machine or the process was frozen meanwhile. */
const FROZEN_MS = 1500;

/** Calls `gone` once when the starter has ended or wants us to. The returned function stops watching. */
export function watchStarter(gone: () => void): () => void {
  const parent = process.ppid;
  // Started by init or as the first process of a container: nobody to outlive.
  if (parent <= 1) return () => undefined;
  const npm = npmBehindShell(parent);
  let shell: number | undefined;
  let isShellKnown = false;
  let polledMs = Date.now();
  const forget = (): void => {
    isShellKnown = false;
  };
  const isShellAwake = (): boolean => {
    const nowMs = Date.now();
    if (Math.abs(nowMs - polledMs) > FROZEN_MS) forget();
    polledMs = nowMs;
    if (!isShellKnown) {
      isShellKnown = true;
      shell = shellWakeUps(parent);
      return false;
    }
    const wakeUps = shell === undefined ? undefined : shellWakeUps(parent);
    return wakeUps !== undefined && wakeUps !== shell;
  };
  const timer = setInterval(() => {
    const isNpmGone =
      npm !== undefined && !(isProcessAlive(npm.pid) && processStart(npm.pid) === npm.started);
    if (process.ppid === parent && !isNpmGone && !isShellAwake()) return;
    stop();
    gone();
  }, POLL_MS);
  timer.unref();
  const firstLook = setTimeout(isShellAwake, FIRST_LOOK_MS);
  firstLook.unref();
  // Ctrl-Z and `fg` wake the shell too.
  process.on('SIGCONT', forget);
  const stop = (): void => {
    clearInterval(timer);
    clearTimeout(firstLook);
    process.removeListener('SIGCONT', forget);
  };
  return stop;
}

function statFields(pid: number): { readonly name: string; readonly parent: number } {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const end = stat.lastIndexOf(')');
  return {
    name: stat.slice(stat.indexOf('(') + 1, end),
    parent: Number(stat.slice(end + 2).split(' ')[1]),
  };
}

/** npm runs scripts through a shell, and some shells stay in between: then npm is the one to watch. */
function npmBehindShell(
  parent: number,
): { readonly pid: number; readonly started: string } | undefined {
  const variables = process.env;
  if ((variables['npm_lifecycle_event'] ?? variables['npm_command']) === undefined)
    return undefined;
  try {
    const { name, parent: beyond } = statFields(parent);
    if (!/^(sh|dash|bash|ash|zsh|busybox)$/.test(name) || beyond <= 1) return undefined;
    return { pid: beyond, started: processStart(beyond) };
  } catch {
    return undefined;
  }
}

/**
 * How often the parent has gone to sleep, if it is a `sh -c` that does nothing but wait for us. Such a
 * shell sleeps once; when it wakes while we live, a signal has woken it, and a signal that does not
 * stop, continue or kill it is an interrupt that it keeps for later.
 */
function shellWakeUps(parent: number): number | undefined {
  try {
    const words = fs.readFileSync(`/proc/${parent}/cmdline`, 'utf8').split('\0');
    const isWaitingShell = /(^|\/)(sh|dash|bash|ash)$/.test(words[0] ?? '') && words[1] === '-c';
    const children = fs.readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8');
    if (!isWaitingShell || children.trim() !== String(process.pid)) return undefined;
    const status = fs.readFileSync(`/proc/${parent}/status`, 'utf8');
    return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]);
  } catch {
    return undefined;
  }
}
