// Types of dev-cluster.mjs.

export interface DevOptions {
  /** Default: what `dev` takes, or what the folder holds. */
  readonly nodes?: number;
  /** Without it the variable CALLBOARD_SHARDS says, else 0; `default`: what `dev` takes. */
  readonly shards?: number | 'default';
  /** An existing data folder; else a fresh one, removed by `stop`. */
  readonly data?: string;
  readonly basePort?: number;
  /** Default `never`. */
  readonly restart?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface DevNode {
  readonly id: number;
  /** HOST:PORT. */
  readonly kafka: string;
  readonly rocketmq: string;
  /** URLs. */
  readonly amqp: string;
  readonly http: string;
  readonly pid: number;
}

export interface DevCluster {
  readonly nodes: readonly DevNode[];
  /** HOST:PORT of every node. */
  readonly brokers: string[];
  readonly data: string;
  readonly basePort: number;
  /** From the start of the process to its ready line. */
  readonly readyMs: number;
  /** Process id of `dev`. */
  readonly pid: number;
  /** stdout and stderr of `dev` until now. */
  output(): string;
  /** What a node has logged. */
  logOf(id: number): string;
  /** The process of a node now: it changes when `dev` starts it again. */
  pidOf(id: number): number;
  /** Sends a signal to a node; resolves when its process has ended, for signals that end it. */
  kill(id: number, signal?: NodeJS.Signals): Promise<void>;
  /** SIGKILL for `dev` and all nodes, at once; resolves when they have ended. */
  killAll(): Promise<void>;
  /** Ends everything and removes the folder, if it was made here. Never throws. */
  stop(): Promise<void>;
}

/** The folder with package.json. */
export const ROOT: string;
export const BIN: string;

export function shardsWanted(): number;
export function freshFolder(name?: string): string;
/** The base of a block of ports that are all free now, for `dev --base-port`. */
export function freeBasePort(nodes?: number): Promise<number>;
export function isAlive(pid: number): boolean;
export function delay(ms: number): Promise<void>;
/** Polls until the answer is not undefined or false; the last error is the cause of the one thrown. */
export function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs?: number,
): Promise<T>;
/**
 * Starts a cluster and waits until it is ready.
 *
 * @throws Error with the output of `dev` and the ends of the nodes' logs if it is not.
 */
export function startDev(options?: DevOptions): Promise<DevCluster>;
/** Runs a `dev` that is expected to end by itself. */
export function runDevToEnd(
  options: DevOptions,
  timeoutMs?: number,
): Promise<{ readonly exitCode: number | undefined; readonly output: string }>;
