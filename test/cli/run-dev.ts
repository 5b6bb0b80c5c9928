// Starts the real program as other people do, and makes sure that nothing of it outlives a test.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach } from 'vitest';

export const BIN = fileURLToPath(new URL('../../bin/callboard.cjs', import.meta.url));
export const FAKE_NODE = new URL('../fixtures/fake-node.mjs', import.meta.url).href;
/** Any free ports, the fake node, a short restart. */
export const FAKE_ARGS = ['--base-port', '0', '--node-entry', FAKE_NODE, '--restart', '50ms'];

export interface ReadyNode {
  readonly id: number;
  readonly kafka: string;
  readonly amqp: string;
  readonly rocketmq: string;
  readonly http: string;
  readonly pid: number;
}

const children = new Set<ChildProcess>();
const pids = new Set<number>();
const folders: string[] = [];

/** Taken out of the clean-up after each test, for the one after all of a file. */
const kept: (() => void)[] = [];

function cleaner(): () => void {
  const own = { children: [...children], pids: [...pids], folders: folders.splice(0) };
  children.clear();
  pids.clear();
  return () => {
    for (const child of own.children) child.kill('SIGKILL');
    for (const pid of own.pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    for (const folder of own.folders) fs.rmSync(folder, { recursive: true, force: true });
  };
}

afterEach(() => cleaner()());
afterAll(() => {
  for (const clean of kept.splice(0)) clean();
});

/** What runs now is for all tests of the file: it ends after the last of them. */
export function keepForFile(): void {
  kept.push(cleaner());
}

/** A fresh folder with a space and letters beyond ASCII in its name. */
export function freshFolder(): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'callboard dév 東 '));
  folders.push(folder);
  return folder;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie of a parent that does not wait counts as ended.
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Milliseconds until all have ended, or undefined after `timeoutMs`. */
export async function endedWithin(
  all: readonly number[],
  timeoutMs: number,
): Promise<number | undefined> {
  const startMs = performance.now();
  while (all.some(isAlive)) {
    if (performance.now() - startMs > timeoutMs) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - startMs;
}

/** A running program whose output is collected. */
/** Says what was there instead, before the test as a whole times out. */
const SAW_TIMEOUT_MS = 25_000;

export class Run {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly exited: Promise<number | string>;

  constructor(command: string, args: readonly string[], options: SpawnOptions = {}) {
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    children.add(this.child);
    if (this.child.pid !== undefined) pids.add(this.child.pid);
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += String(chunk);
    });
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += String(chunk);
    });
    this.exited = new Promise((resolve) =>
      this.child.once('close', (code, signal) => resolve(signal ?? code ?? -1)),
    );
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Waits until stdout (or stderr) matches. */
  async saw(pattern: RegExp, from: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    const untilMs = performance.now() + SAW_TIMEOUT_MS;
    for (;;) {
      const match = pattern.exec(this[from]);
      if (match !== null) return match;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        await this.exited;
        const last = pattern.exec(this[from]);
        if (last !== null) return last;
        throw new Error(`ended without ${pattern}:\n${this.stdout}\n${this.stderr}`);
      }
      if (performance.now() > untilMs) {
        throw new Error(`no ${pattern} in:\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Waits for the ready line of --json; remembers the processes for the clean-up. */
  async ready(): Promise<readonly ReadyNode[]> {
    const [line] = await this.saw(/^\{"event":"ready".*\}$/m);
    const { nodes } = JSON.parse(line) as { nodes: ReadyNode[] };
    for (const { pid } of nodes) pids.add(pid);
    return nodes;
  }
}

/** Runs `callboard` with these words. */
export function callboard(
  args: readonly string[],
  options: SpawnOptions & { readonly variables?: NodeJS.ProcessEnv } = {},
): Run {
  const { variables, ...rest } = options;
  const env = { ...process.env, ...variables };
  return new Run(process.execPath, [BIN, ...args], { ...rest, env });
}

/** `callboard dev --json` over the fake node, on `folder`. */
export function startDev(
  folder: string,
  extra: readonly string[] = [],
  variables: NodeJS.ProcessEnv = {},
): Run {
  const args = ['dev', '--data', join(folder, 'data'), ...FAKE_ARGS, '--json', ...extra];
  return callboard(args, { variables });
}
