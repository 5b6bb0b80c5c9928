// The life of `callboard dev`: take the folder, choose ports, start the nodes, say that they are ready,
// report what happens to them, and end everything when told to or when nobody is left to tell.
import { basename } from 'node:path';
import {
  type NodeAddress,
  type NodeConfig,
  type NodeEvent,
  roleOf,
} from '../../assembly/node-config.ts';
import type { CliContext } from '../context.ts';
import type { DevOptions } from '../dev.ts';
import { CliFailure, EXIT } from '../failure.ts';
import { durationText } from '../text.ts';
import { disagreement } from './agreement.ts';
import type { Cluster } from './cluster.ts';
import { DeathReports } from './death-reports.ts';
import {
  type ClusterIdentity,
  DevFolder,
  folderHolder,
  folderSizeBytes,
  newIdentity,
  type RunningEntry,
  type RunState,
  readRunState,
} from './folder.ts';
import { planPorts } from './ports.ts';
import { ProcessCluster } from './process-cluster.ts';
import { commandText, readyJson, readyLines } from './report.ts';
import { ALL_DISKS, type DevRoles, devRole } from './roles.ts';
import { watchStarter } from './starter-watch.ts';

/** How long a second `dev` waits for the first to become ready. */
const JOIN_TIMEOUT_MS = 20_000;
const JOIN_POLL_MS = 100;

/** How often the start is tried when ports are taken while the nodes start. */
const START_ATTEMPTS = 3;

/** A stop that takes longer than this is ended: everything must be gone within 3 s. */
const STOP_LIMIT_MS = 2400;

export interface LauncherOptions extends DevOptions {
  /** The options as they were given, without what is assumed. */
  readonly asked: DevOptions;
  readonly host: string;
  /** Undefined: never. */
  readonly restartAfterMs: number | undefined;
  readonly shardsOf: (nodes: number) => number;
}

export class Launcher {
  readonly #options: LauncherOptions;
  readonly #context: CliContext;
  readonly #deaths: DeathReports;
  #folder: DevFolder | undefined;
  #cluster: Cluster | undefined;
  #state: RunState | undefined;
  #isStopping = false;
  #stopped: Promise<void> | undefined;

  constructor(options: LauncherOptions, context: CliContext) {
    this.#options = options;
    this.#context = context;
    this.#deaths = new DeathReports((line) => this.#say(line));
  }

  /** Returns when the nodes run; the process then lives until it is stopped. */
  async run(): Promise<void> {
    this.#guard();
    this.#folder = DevFolder.take(this.#options.data);
    if (this.#folder === undefined) {
      await this.#showRunning();
      return;
    }
    try {
      await this.#start(this.#folder);
    } catch (error) {
      await this.#end();
      // Asked to stop while starting: the failure is the stop.
      if (!this.#isStopping) throw error;
    }
  }

  async #start(folder: DevFolder): Promise<void> {
    const options = this.#options;
    if (options.reset === true) folder.reset();
    const identity =
      options.memory === true
        ? newIdentity(options.nodes, this.#askedRoles())
        : folder.identity(options.nodes, this.#askedRoles());
    let note: string | undefined;
    for (let attempt = 1; ; attempt += 1) {
      try {
        note = await this.#startOnPorts(folder, identity);
        break;
      } catch (error) {
        // Somebody took a port between our look and the node's: look again, if we may choose.
        const isRace = (error as CliFailure).code === 'EADDRINUSE' && attempt < START_ATTEMPTS;
        if (!isRace || this.#isStopping) throw error;
        await this.#cluster?.stop();
      }
    }
    if (this.#isStopping) return;
    if (options.memory !== true) folder.markFounded(identity);
    this.#publish(performance.now());
    this.#sayReady(note);
  }

  /** Undefined: as the folder has them. */
  #askedRoles(): DevRoles | undefined {
    const { ram } = this.#options;
    return ram === undefined ? undefined : { ram };
  }

  /** Starts the nodes and waits until they are ready; answers why their ports are unusual, if they are. */
  async #startOnPorts(folder: DevFolder, identity: ClusterIdentity): Promise<string | undefined> {
    const options = this.#options;
    const plan = await planPorts({
      nodes: identity.nodes,
      host: options.host,
      isStrict: options.strictPorts === true,
      ...(options.basePort === undefined ? {} : { basePort: options.basePort }),
      ...(options.kafkaPort === undefined ? {} : { kafkaPort: options.kafkaPort }),
      ...(options.amqpPort === undefined ? {} : { amqpPort: options.amqpPort }),
      ...(options.rocketmqPort === undefined ? {} : { rocketmqPort: options.rocketmqPort }),
      ...(options.httpPort === undefined ? {} : { httpPort: options.httpPort }),
    });
    if (this.#isStopping) return undefined;
    const roles = identity.roles ?? ALL_DISKS;
    const nodes = plan.nodes.map((node) => ({ ...node, role: devRole(roles, node.id) }));
    const configs = nodes.map((node) => ({
      clusterId: identity.clusterId,
      nodeId: node.id,
      nodes,
      dataRoot:
        options.memory === true || node.role === 'ram' ? undefined : folder.nodeRoot(node.id),
      shards: options.shardsOf(identity.nodes),
      host: options.host,
      ...(options.queueReplicas === undefined ? {} : { queueReplicas: options.queueReplicas }),
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      token: identity.token,
      isFounding: !identity.isFounded,
    }));
    this.#cluster = await this.#makeCluster(folder, configs);
    await this.#cluster.ready;
    return plan.note;
  }

  async #makeCluster(folder: DevFolder, configs: readonly NodeConfig[]): Promise<Cluster> {
    const events = {
      onEvent: (node: number, event: NodeEvent) => this.#deaths.heard(node, event),
      onFailed: (message: string) => {
        process.stderr.write(`callboard: ${message}\n`);
        if (!this.#isStopping) void this.#stop(EXIT.failure);
      },
      onDeath: (node: number, how: string, restartAfterMs: number | undefined) =>
        this.#deaths.died(
          node,
          how,
          restartAfterMs === undefined
            ? 'not restarted'
            : `restart in ${durationText(restartAfterMs)}`,
        ),
      onRestart: (node: number) => {
        this.#deaths.restarted(node);
        this.#publish(this.#state?.readyMs ?? 0);
      },
    };
    const common = {
      configs,
      events,
      entryOf: (config: NodeConfig, pid: number) => this.#entry(config, pid),
    };
    if (this.#options.inProcess === true) {
      // Loaded only here: a launcher of processes needs none of what a node needs.
      const { InProcessCluster } = await import('./in-process-cluster.ts');
      return new InProcessCluster({ ...common, nodeEntry: this.#context.nodeEntry });
    }
    return new ProcessCluster({
      ...common,
      context: this.#context,
      logPathOf: (id) => folder.logPath(id),
      restartAfterMs: this.#options.restartAfterMs,
    });
  }

  #entry(config: NodeConfig, pid: number): RunningEntry {
    const address = config.nodes.find((node) => node.id === config.nodeId) as NodeAddress;
    const host = this.#options.host === 'localhost' ? 'localhost' : address.host;
    const inUrl = host.includes(':') ? `[${host}]` : host;
    const role = roleOf(config);
    return {
      id: config.nodeId,
      role,
      kafka: `${inUrl}:${address.kafkaPort}`,
      rocketmq: `${inUrl}:${address.rocketmqPort}`,
      amqp: `amqp://${inUrl}:${address.amqpPort}`,
      http: `http://${inUrl}:${address.httpPort}`,
      pid,
    };
  }

  #publish(readyMs: number): void {
    const options = this.#options;
    const nodes = this.#cluster?.entries ?? [];
    this.#state = {
      pid: process.pid,
      version: this.#context.version,
      readyMs,
      isMemory: options.memory === true,
      isInProcess: options.inProcess === true,
      shards: options.shardsOf(nodes.length),
      host: options.host,
      queueReplicas: options.queueReplicas ?? null,
      profile: options.profile ?? null,
      restartAfterMs: options.restartAfterMs ?? null,
      nodes,
    };
    this.#folder?.publish(this.#state);
  }

  #sayReady(note: string | undefined): void {
    const state = this.#state as RunState;
    const folder = this.#folder as DevFolder;
    if (this.#options.json === true) process.stdout.write(`${readyJson(state.nodes)}\n`);
    else this.#sayTable(state, folder.path, folder.sizeBytes(), note, false);
  }

  #sayTable(
    state: RunState,
    folder: string,
    folderBytes: number,
    note: string | undefined,
    isAlreadyRunning: boolean,
  ): void {
    const command = commandText(this.#context.binPath, process.cwd());
    const lines = readyLines({ state, command, folder, folderBytes, note, isAlreadyRunning });
    process.stdout.write(`${lines.join('\n')}\n`);
  }

  /** One line for the person; with --json stdout is for the one line only. */
  #say(line: string): void {
    const stream = this.#options.json === true ? process.stderr : process.stdout;
    stream.write(`${line}\n`);
  }

  /** Another `dev` has the folder: its table is the answer. */
  async #showRunning(): Promise<void> {
    const { data, asked } = this.#options;
    const untilMs = performance.now() + JOIN_TIMEOUT_MS;
    let state = readRunState(data);
    if (asked.reset === true) throw this.#taken('--reset would remove its data');
    while (state === undefined && folderHolder(data) !== undefined && !this.#isStopping) {
      if (performance.now() > untilMs) {
        throw new CliFailure(`callboard dev (pid ${folderHolder(data)}) is starting on ${data}`, {
          exitCode: EXIT.taken,
          code: 'DEV_FOLDER_TAKEN',
          hint: 'It has not become ready; stop it, or choose another --data.',
        });
      }
      await new Promise((resolve) => setTimeout(resolve, JOIN_POLL_MS));
      state = readRunState(data);
    }
    this.#unguard();
    if (this.#isStopping) return;
    if (state === undefined) {
      throw new CliFailure(`the callboard dev that had ${data} ended before it was ready`, {
        exitCode: EXIT.failure,
        code: 'DEV_OTHER_ENDED',
        hint: 'Start again.',
      });
    }
    const refusal = disagreement(asked, this.#options.restartAfterMs, state);
    if (refusal !== undefined) throw this.#taken(refusal);
    if (this.#options.json === true) process.stdout.write(`${readyJson(state.nodes)}\n`);
    else {
      const folder = basename(data) === data ? `./${data}` : data;
      this.#sayTable(state, folder, folderSizeBytes(data), undefined, true);
    }
  }

  #taken(why: string): CliFailure {
    this.#unguard();
    const { data } = this.#options;
    return new CliFailure(`callboard dev (pid ${folderHolder(data)}) runs on ${data}: ${why}`, {
      exitCode: EXIT.taken,
      code: 'DEV_FOLDER_TAKEN',
      hint: 'Stop it first, leave the option out, or choose another --data.',
    });
  }

  #unguard: () => void = () => undefined;

  /** From the first moment: signals, a closed terminal and a vanished starter all end everything. */
  #guard(): void {
    const stop = (): void => {
      if (this.#isStopping) {
        // Asked twice: at once.
        this.#cluster?.kill();
        this.#folder?.release(this.#options.memory === true);
        process.exit(EXIT.interrupted);
      }
      void this.#stop();
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    for (const signal of signals) process.on(signal, stop);
    const unwatch = watchStarter(() => void this.#stop());
    // Nobody may be left to read what we say, and that must not be what kills us first.
    for (const stream of [process.stdout, process.stderr]) {
      stream.removeAllListeners('error').on('error', () => undefined);
    }
    this.#unguard = () => {
      for (const signal of signals) process.removeListener(signal, stop);
      unwatch();
    };
  }

  async #stop(exitCode: number = EXIT.ok): Promise<void> {
    this.#isStopping = true;
    this.#deaths.stop();
    setTimeout(() => {
      this.#cluster?.kill();
      this.#folder?.release(this.#options.memory === true);
      process.exit(EXIT.failure);
    }, STOP_LIMIT_MS).unref();
    await this.#end();
    process.exit(exitCode);
  }

  /** Stops the nodes, then gives the folder back. */
  #end(): Promise<void> {
    this.#stopped ??= (async () => {
      try {
        await this.#cluster?.stop();
      } finally {
        this.#folder?.release(this.#options.memory === true);
        this.#unguard();
      }
    })();
    return this.#stopped;
  }
}
