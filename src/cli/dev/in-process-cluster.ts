// All nodes of the cluster in this one process: the fastest start and the least memory. Nothing can be
// killed alone here, so there is nothing to restart: a node that fails ends the program.
import type { NodeConfig, NodeEntry, RunningNode } from '../../assembly/node-config.ts';
import { createNodeEnvironment } from '../../env/node/environment.ts';
import { createNodeLog, LOG_LEVEL_VARIABLE } from '../../env/node/log.ts';
import { CliFailure, EXIT } from '../failure.ts';
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
  readonly entries: readonly RunningEntry[];
  readonly #options: InProcessOptions;
  /** The terminal is the reader: only what went wrong. */
  readonly #log = createNodeLog({ level: 'warn' });
  #running: RunningNode[] = [];

  constructor(options: InProcessOptions) {
    this.#options = options;
    process.env[LOG_LEVEL_VARIABLE] = 'warn';
    this.entries = options.configs.map((config) => options.entryOf(config, process.pid));
    this.ready = this.#start();
  }

  async #start(): Promise<void> {
    const { nodeEntry, configs } = this.#options;
    const { startNode } = (await import(nodeEntry)) as NodeEntry;
    await Promise.all(configs.map((config) => this.#startOne(startNode, config)));
  }

  async #startOne(startNode: NodeEntry['startNode'], config: NodeConfig): Promise<void> {
    let node: RunningNode;
    try {
      const env = createNodeEnvironment({
        ...(config.dataRoot === undefined ? {} : { dataRoot: config.dataRoot }),
        log: this.#log.child({ node: config.nodeId }),
      });
      node = await startNode(env, config);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'NODE_START_FAILED';
      throw new CliFailure(`node ${config.nodeId} did not start: ${(error as Error).message}`, {
        exitCode: code === 'EADDRINUSE' ? EXIT.taken : EXIT.failure,
        code,
        cause: error,
      });
    }
    this.#running.push(node);
    await new Promise<void>((resolve, reject) => {
      node.onEvent((event) => {
        if (event.event === 'ready') resolve();
        if (event.event === 'failed') {
          const parts = { exitCode: EXIT.failure, code: event.code };
          reject(new CliFailure(`node ${config.nodeId} failed: ${event.message}`, parts));
        }
        this.#options.events.onEvent(config.nodeId, event);
      });
    });
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = [];
    await Promise.all(running.map((node) => node.stop()));
  }

  kill(): void {
    // The process that holds them ends; there is nothing else to end.
  }
}
