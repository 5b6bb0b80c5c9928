// A cluster of node processes: starts them, waits until all are ready, and starts again what dies.
// Before the first ready a death is a failed start; afterwards it is an event.
import fs from 'node:fs';
import type { NodeConfig, NodeEvent } from '../../assembly/node-config.ts';
import type { CliContext } from '../context.ts';
import { CliFailure, exitCodeOfNode } from '../failure.ts';
import type { Cluster, ClusterEvents } from './cluster.ts';
import type { RunningEntry } from './folder.ts';
import { type NodeExit, NodeProcess } from './node-process.ts';
import { exitText } from './report.ts';

/** Stopping takes this long at most: with the notice of an orphan it stays below 3 s. */
const STOP_TIMEOUT_MS = 2100;

/** A node that dies again and again is started ever more slowly, up to this. */
const RESTART_MAX_MS = 30_000;
const LOG_TAIL_LINES = 8;
const LOG_TAIL_BYTES = 8192;

export interface ProcessClusterOptions {
  readonly context: CliContext;
  readonly configs: readonly NodeConfig[];
  readonly entryOf: (config: NodeConfig, pid: number) => RunningEntry;
  readonly logPathOf: (id: number) => string | undefined;
  /** Undefined: never. */
  readonly restartAfterMs: number | undefined;
  readonly events: ClusterEvents;
}

interface Member {
  readonly config: NodeConfig;
  process: NodeProcess;
  isReady: boolean;
  /** Taken out of the cluster, for good: nobody waits for it. */
  isRemoved: boolean;
  failure: { readonly code: string; readonly message: string } | undefined;
  /** Deaths since it was last ready. */
  failedStarts: number;
  restart: NodeJS.Timeout | undefined;
}

export class ProcessCluster implements Cluster {
  readonly ready: Promise<void>;
  readonly #options: ProcessClusterOptions;
  readonly #members: readonly Member[];
  #isUp = false;
  #isStopping = false;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(options: ProcessClusterOptions) {
    this.#options = options;
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#members = options.configs.map((config) => {
      const member: Member = {
        config,
        process: undefined as unknown as NodeProcess,
        isReady: false,
        isRemoved: false,
        failure: undefined,
        failedStarts: 0,
        restart: undefined,
      };
      this.#spawn(member);
      return member;
    });
  }

  get entries(): readonly RunningEntry[] {
    const members = this.#members.filter(({ isRemoved }) => !isRemoved);
    return members.map(({ config, process }) => this.#options.entryOf(config, process.pid));
  }

  #spawn(member: Member): void {
    member.isReady = false;
    member.failure = undefined;
    member.process = new NodeProcess({
      context: this.#options.context,
      // A node that starts again in a cluster that was ready must not found it anew.
      config: this.#isUp ? { ...member.config, isFounding: false } : member.config,
      logPath: this.#options.logPathOf(member.config.nodeId),
      onEvent: (event) => this.#heard(member, event),
      onExit: (exit) => this.#ended(member, exit),
    });
  }

  #heard(member: Member, event: NodeEvent): void {
    if (event.event === 'failed') member.failure = event;
    if (event.event === 'ready') {
      member.isReady = true;
      member.failedStarts = 0;
      this.#look();
    }
    this.#options.events.onEvent(member.config.nodeId, event);
  }

  #look(): void {
    if (this.#isUp || !this.#members.every((one) => one.isReady || one.isRemoved)) return;
    this.#isUp = true;
    this.#resolve();
  }

  #ended(member: Member, exit: NodeExit): void {
    if (this.#isStopping) return;
    const how = exitText(exit.code, exit.signal);
    member.isRemoved = member.failure?.code === 'NODE_REMOVED';
    if (!this.#isUp) {
      // Of an earlier run. The others go on without it.
      if (member.isRemoved && this.#members.some((one) => !one.isRemoved)) {
        this.#look();
        return;
      }
      this.#reject(this.#startFailure(member, how));
      return;
    }
    const { restartAfterMs, events } = this.#options;
    const afterMs =
      restartAfterMs === undefined || member.isRemoved
        ? undefined
        : Math.min(RESTART_MAX_MS, restartAfterMs * 2 ** Math.min(member.failedStarts, 10));
    if (!member.isReady) member.failedStarts += 1;
    events.onDeath(member.config.nodeId, member.failure?.message ?? how, afterMs);
    if (afterMs === undefined) return;
    member.restart = setTimeout(() => {
      this.#spawn(member);
      if (member.failedStarts === 0) member.failedStarts = 1;
      events.onRestart(member.config.nodeId, member.process.pid);
    }, afterMs);
  }

  #startFailure(member: Member, how: string): CliFailure {
    const { nodeId } = member.config;
    const { failure } = member;
    const path = this.#options.logPathOf(nodeId);
    const tail = path === undefined ? [] : logTail(path);
    return new CliFailure(`node ${nodeId} did not start: ${failure?.message ?? how}`, {
      exitCode: exitCodeOfNode(failure?.code),
      code: failure?.code ?? 'DEV_NODE_ENDED',
      hint: [...tail, path === undefined ? '' : `The whole log: ${path}`].join('\n  '),
    });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const { restart } of this.#members) clearTimeout(restart);
    await Promise.all(this.#members.map((member) => member.process.stop(STOP_TIMEOUT_MS)));
  }

  kill(): void {
    this.#isStopping = true;
    for (const member of this.#members) member.process.kill();
  }
}

function logTail(path: string): string[] {
  try {
    const size = fs.statSync(path).size;
    const fd = fs.openSync(path, 'r');
    const into = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
    fs.readSync(fd, into, 0, into.length, size - into.length);
    fs.closeSync(fd);
    return into.toString().trimEnd().split('\n').slice(-LOG_TAIL_LINES);
  } catch {
    return [];
  }
}
