// All nodes of the cluster in this one process: the fastest start and the least memory. Nothing can be
// killed alone here, so there is nothing to restart: a node that fails ends the program, but for one that was taken out
// of the cluster, which ends alone.
import type { NodeConfig, NodeEntry, RunningNode } from '../../assembly/node-config.ts';
import { createNodeEnvironment } from '../../env/node/environment.ts';
import { createNodeLog, LOG_LEVEL_VARIABLE } from '../../env/node/log.ts';
import { CliFailure, exitCodeOfNode } from '../failure.ts';
import type { Cluster, ClusterEvents } from './cluster.ts';
import type { RunningEntry } from './folder.ts';

export interface InProcessOptions {
  readonly nodeEntry: string;
  readonly configs: readonly NodeConfig[];
  readonly entryOf: (config: NodeConfig, pid: number) => RunningEntry;
  readonly events: ClusterEvents;
}

export class InProcessCluster implements Cluster {
  readonly ready: Promise<void>;
  readonly #options: InProcessOptions;
  readonly #removed = new Set<number>();
  /** The terminal is the reader: only what went wrong. */
  readonly #log = createNodeLog({ level: 'warn' });
  #running: RunningNode[] = [];
  /** Settled when nothing that was begun is still on its way to run. */
  #starts: Promise<unknown>[] = [];
  #isStopping = false;

  constructor(options: InProcessOptions) {
    this.#options = options;
    process.env[LOG_LEVEL_VARIABLE] = 'warn';
    this.ready = this.#start();
  }

  get entries(): readonly RunningEntry[] {
    const { configs, entryOf } = this.#options;
    const left = configs.filter(({ nodeId }) => !this.#removed.has(nodeId));
    return left.map((config) => entryOf(config, process.pid));
  }

  async #start(): Promise<void> {
    const { nodeEntry, configs } = this.#options;
    const { startNode } = (await import(nodeEntry)) as NodeEntry;
    if (this.#isStopping) return;
    const starts = configs.map((config) => this.#startOne(startNode, config));
    this.#starts = starts;
    const nodes = await Promise.all(starts);
    await Promise.all(nodes.map((node, i) => this.#untilReady(node, configs[i]!.nodeId)));
  }

  async #startOne(startNode: NodeEntry['startNode'], config: NodeConfig): Promise<RunningNode> {
    try {
      const env = createNodeEnvironment({
        ...(config.dataRoot === undefined ? {} : { dataRoot: config.dataRoot }),
        log: this.#log.child({ node: config.nodeId }),
      });
      const node = await startNode(env, config);
      if (this.#isStopping) await node.stop();
      else this.#running.push(node);
      return node;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'NODE_START_FAILED';
      throw new CliFailure(`node ${config.nodeId} did not start: ${(error as Error).message}`, {
        exitCode: exitCodeOfNode(code),
        code,
        cause: error,
      });
    }
  }

  #untilReady(node: RunningNode, nodeId: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let isReady = false;
      node.onEvent((event) => {
        if (event.event === 'ready') {
          isReady = true;
          resolve();
        }
        if (event.event === 'failed' && this.#mayGo(nodeId, event.code)) {
          this.#removed.add(nodeId);
          this.#running = this.#running.filter((each) => each !== node);
          node.stop().then(resolve, reject);
        } else if (event.event === 'failed') {
          const message = `node ${nodeId} failed: ${event.message}`;
          if (isReady) this.#options.events.onFailed(message);
          else
            reject(
              new CliFailure(message, { exitCode: exitCodeOfNode(event.code), code: event.code }),
            );
        }
        this.#options.events.onEvent(nodeId, event);
      });
    });
  }

  /** Taken out of the cluster, and not the last one here. */
  #mayGo(nodeId: number, code: string): boolean {
    const { configs } = this.#options;
    const isElse = configs.some(
      (each) => each.nodeId !== nodeId && !this.#removed.has(each.nodeId),
    );
    return code === 'NODE_REMOVED' && isElse;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const running = this.#running;
    this.#running = [];
    await Promise.all(running.map((node) => node.stop()));
    await Promise.allSettled(this.#starts);
  }

  kill(): void {
    // The process that holds them ends; there is nothing else to end.
  }
}
