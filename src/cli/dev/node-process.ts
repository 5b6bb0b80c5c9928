// One node process as the launcher sees it: started with its configuration, heard over its IPC
// channel, stopped politely and then not. Its output goes straight to its log file: no pipe that
// could fill up, and nothing lost when the launcher is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import type { NodeConfig, NodeEvent } from '../../assembly/node-config.ts';
import type { CliContext } from '../context.ts';
import { CONFIG_VARIABLE, nodeConfigText } from '../server-config.ts';

const LOG_BYTES_MAX = 8 << 20;

export interface NodeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface NodeProcessOptions {
  readonly context: CliContext;
  readonly config: NodeConfig;
  /** Gets stdout and stderr, appended. */
  readonly logPath: string | undefined;
  readonly onEvent: (event: NodeEvent) => void;
  readonly onExit: (exit: NodeExit) => void;
}

export class NodeProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #hasEnded = false;

  constructor(options: NodeProcessOptions) {
    const { context, config, logPath } = options;
    const output = logPath === undefined ? 'ignore' : openLog(logPath);
    const args = ['server', '--node-entry', context.nodeEntry];
    this.#child = spawn(process.execPath, [...process.execArgv, context.binPath, ...args], {
      stdio: ['ignore', output, output, 'ipc'],
      env: { ...process.env, [CONFIG_VARIABLE]: nodeConfigText(config) },
    });
    if (output !== 'ignore') fs.closeSync(output);
    this.#child.on('message', (message) => options.onEvent(message as NodeEvent));
    this.#ended = new Promise((resolve) => {
      const end = (exit: NodeExit): void => {
        if (this.#hasEnded) return;
        this.#hasEnded = true;
        resolve();
        options.onExit(exit);
      };
      // `spawn` itself failed: no memory, no process slots.
      this.#child.once('error', () => end({ code: 1, signal: null }));
      // 'close' and not 'exit': every message that the node sent has been heard by then.
      this.#child.once('close', (code, signal) => end({ code, signal }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Asks to stop; kills what is still there after `timeoutMs`. Resolves when the process has ended. */
  async stop(timeoutMs: number): Promise<void> {
    if (this.#hasEnded) return;
    if (this.#child.connected) this.#child.send({ type: 'stop' }, () => undefined);
    else this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), timeoutMs);
    await this.#ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Appends to the log; one that has grown large is put aside, and the one before it is gone. */
function openLog(path: string): number {
  const size = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) fs.renameSync(path, `${path}.1`);
  return fs.openSync(path, 'a', 0o640);
}
