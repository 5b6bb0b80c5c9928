// The nodes of one cluster in a process of their own whose worker threads a test may kill.
import { type ChildProcess, fork } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freeBasePort, freshFolder, isAlive } from '../../../tools/lib/dev-cluster.mjs';

const PROGRAM = fileURLToPath(new URL('./threaded-nodes.mjs', import.meta.url));
const READY_TIMEOUT_MS = 60_000;

interface Told {
  readonly ready?: boolean;
  readonly killed?: boolean;
}

export class ThreadedNodes {
  /** HOST:PORT by node, from node 1 on. */
  readonly kafka: readonly string[];
  readonly rocketmq: readonly string[];
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<void>;
  #output = '';

  private constructor(
    child: ChildProcess,
    folder: string,
    nodes: readonly { readonly kafkaPort: number; readonly rocketmqPort: number }[],
  ) {
    this.#child = child;
    this.#folder = folder;
    this.kafka = nodes.map(({ kafkaPort }) => `127.0.0.1:${kafkaPort}`);
    this.rocketmq = nodes.map(({ rocketmqPort }) => `127.0.0.1:${rocketmqPort}`);
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve()));
    const keep = (chunk: unknown): void => {
      this.#output += String(chunk);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
  }

  static async start(count: number, shards: number): Promise<ThreadedNodes> {
    const base = await freeBasePort(count);
    const folder = freshFolder('callboard-threads-');
    const nodes = Array.from({ length: count }, (_, i) => ({
      id: i + 1,
      linkPort: base + 200 + i,
      kafkaPort: base + i,
      httpPort: base + 100 + i,
      amqpPort: base + 300 + i,
      rocketmqPort: base + 400 + i,
    }));
    const level = process.env['THREADED_NODES_LOG_LEVEL'] ?? 'error';
    const order = JSON.stringify({ nodes, shards, folder, level });
    const child = fork(PROGRAM, [order], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const started = new ThreadedNodes(child, folder, nodes);
    await started.#ready();
    return started;
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`${why}\n${this.#output}`));
      const timer = setTimeout(() => fail('the nodes are not ready in time'), READY_TIMEOUT_MS);
      this.#child.once('exit', (code) => fail(`the nodes ended with ${code}`));
      this.#child.on('message', (told: Told) => {
        if (told.ready !== true) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** The process that was started still runs. */
  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && isAlive(this.pid);
  }

  /** What the nodes have logged. */
  get output(): string {
    return this.#output;
  }

  /** Ends a worker thread as if it had crashed, in the midst of whatever it does; resolves meanwhile. */
  kill(node: number, thread: number): Promise<void> {
    return new Promise((resolve) => {
      const hear = (told: Told): void => {
        if (told.killed !== true) return;
        this.#child.off('message', hear);
        resolve();
      };
      this.#child.on('message', hear);
      this.#child.send({ kill: { node, thread } });
    });
  }

  async stop(): Promise<void> {
    if (this.isAlive) this.#child.send({ stop: true });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.#ended;
    clearTimeout(timer);
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }
}
