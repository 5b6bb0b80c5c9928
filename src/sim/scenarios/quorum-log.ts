// The canary scenario: clients write every id to three independent durable servers and call it
// acknowledged when two have answered. It must survive everything the fault policy allows, and it must
// fail within a few seeds when its servers answer before they sync.
import type { Connection, Environment } from '../../env/environment.ts';
import { readU32 } from '../../std/bytes.ts';
import type { FaultPolicy } from '../faults/policy.ts';
import { FAULT_KINDS } from '../faults/policy.ts';
import type { SimNode } from '../node.ts';
import type { Scenario, ScenarioRun, Violation } from '../scenario.ts';
import { SimSystemError } from '../sim-error.ts';
import type { World } from '../world.ts';
import { FrameReader, frame } from './frames.ts';
import { APPEND, LIST, QUORUM_LOG_PORT, startQuorumLogServer } from './quorum-log-server.ts';

const SERVERS = ['n1', 'n2', 'n3'];
const CLIENTS = ['c1', 'c2'];
const QUORUM = 2;
const SEND_EVERY_MS = 25;
const RETRY_MS = 200;
const SILENCE_MS = 4_000;
const BOOT_AGAIN_MS = 300;
const IDLE_POLL_MS = 100;

const POLICY: FaultPolicy = {
  // Its servers want no bytes to be free.
  kinds: FAULT_KINDS.filter((kind) => kind !== 'disk-low'),
  meanMs: [800, 12_000],
  downMax: 1,
  damagedMax: 1,
  downMs: [50, 8_000],
  faultsMin: 3,
};

export const quorumLog: Scenario = {
  name: 'quorum-log',
  faults: POLICY,
  chaosMs: 30_000,
  drainMs: 60_000,
  bugs: ['ack-before-sync'],
  create: (world) => new QuorumLogRun(world),
};

class QuorumLogRun implements ScenarioRun {
  readonly #world: World;
  readonly #ledger = new Ledger();
  readonly #clients: QuorumClient[] = [];

  constructor(world: World) {
    this.#world = world;
    for (const id of SERVERS) world.node(id);
    for (const id of CLIENTS) world.node(id, 'client');
  }

  start(): void {
    for (const id of SERVERS) this.boot(this.#world.node(id));
    for (const id of CLIENTS) {
      const env = this.#world.node(id).start().environment;
      this.#clients.push(new QuorumClient(env, this.#ledger));
    }
  }

  boot(node: SimNode): void {
    const process = node.start();
    startQuorumLogServer(process.environment).catch((error: unknown) => {
      // A full device is a reason to end and to be started again; anything else fails the run.
      if (!(error instanceof SimSystemError) || error.code !== 'ENOSPC') {
        this.#world.uncaught(process, error);
        return;
      }
      this.#world.afterMs(BOOT_AGAIN_MS, () => {
        if (node.process !== process) return;
        node.kill();
        this.boot(node);
      });
    });
  }

  /** A server that lost data never gets it back here: one damage per run. */
  hasRecovered(): boolean {
    return false;
  }

  startDrain(): void {
    for (const client of this.#clients) client.stop();
    const readWhenIdle = (): void => {
      if (this.#clients.every((client) => client.isIdle)) {
        for (const client of this.#clients) client.readBack();
      } else this.#world.afterMs(IDLE_POLL_MS, readWhenIdle);
    };
    readWhenIdle();
  }

  isDrained(): boolean {
    return this.#clients.every((client) => client.isDone);
  }

  check(): readonly Violation[] {
    return this.#ledger
      .lost()
      .map((id) => ({ check: 'quorum-log/lost-write', message: `id ${id} was acknowledged` }));
  }

  counts(): { operations: number; acknowledged: number; lost: number } {
    const { sent, acknowledged } = this.#ledger;
    return {
      operations: sent.size,
      acknowledged: acknowledged.size,
      lost: this.#ledger.lost().length,
    };
  }
}

class Ledger {
  readonly sent = new Set<number>();
  readonly acknowledged = new Set<number>();
  readonly found = new Set<number>();
  isRead = false;

  next(): number {
    this.sent.add(this.sent.size);
    return this.sent.size - 1;
  }

  lost(): readonly number[] {
    return this.isRead ? [...this.acknowledged].filter((id) => !this.found.has(id)) : [];
  }
}

/** Writes to all servers over connections that it reopens for ever, and reads them all in the end. */
class QuorumClient {
  readonly #env: Environment;
  readonly #ledger: Ledger;
  readonly #lanes: Lane[];
  readonly #open = new Map<number, Set<string>>();
  #isStopping = false;

  constructor(env: Environment, ledger: Ledger) {
    this.#env = env;
    this.#ledger = ledger;
    this.#lanes = SERVERS.map(
      (server) =>
        new Lane(env, server, () => this.#open, {
          acknowledged: (id) => this.#acknowledged(id, server),
          listed: (ids) => {
            for (const id of ids) this.#ledger.found.add(id);
            this.#ledger.isRead = true;
          },
        }),
    );
    this.#tick();
  }

  get isDone(): boolean {
    return this.#isStopping && this.#lanes.every((lane) => lane.isListed);
  }

  /** Nothing is open: a list that is asked for now holds everything acknowledged. */
  get isIdle(): boolean {
    return this.#open.size === 0;
  }

  stop(): void {
    this.#isStopping = true;
  }

  readBack(): void {
    for (const lane of this.#lanes) lane.askList();
  }

  #tick(): void {
    if (this.#isStopping) return;
    const id = this.#ledger.next();
    this.#open.set(id, new Set());
    for (const lane of this.#lanes) lane.send(id);
    const { clock, random, timers } = this.#env;
    timers.at(clock.monotonicMs() + 1 + random.below(2 * SEND_EVERY_MS), () => this.#tick());
  }

  #acknowledged(id: number, server: string): void {
    const by = this.#open.get(id);
    if (by === undefined) return;
    by.add(server);
    if (by.size < QUORUM) return;
    this.#ledger.acknowledged.add(id);
    this.#open.delete(id);
  }
}

interface LaneEvents {
  acknowledged(id: number): void;
  listed(ids: readonly number[]): void;
}

/** The path to one server. After a new connection it sends again what is still open. */
class Lane {
  readonly #env: Environment;
  readonly #server: string;
  readonly #open: () => ReadonlyMap<number, unknown>;
  readonly #events: LaneEvents;
  #connection: Connection | undefined;
  #wantsList = false;
  #heardMs = 0;
  isListed = false;

  constructor(
    env: Environment,
    server: string,
    open: () => ReadonlyMap<number, unknown>,
    events: LaneEvents,
  ) {
    this.#env = env;
    this.#server = server;
    this.#open = open;
    this.#events = events;
    this.#connect();
    this.#watch();
  }

  send(id: number): void {
    this.#connection?.write(frame(APPEND, [id]));
  }

  askList(): void {
    this.#wantsList = true;
    this.#connection?.write(frame(LIST, []));
  }

  #connect(): void {
    const connection = this.#env.net.connect(
      { host: this.#server, port: QUORUM_LOG_PORT },
      { timeoutMs: 1_000 },
    );
    const reader = new FrameReader((body) => this.#receive(body));
    this.#connection = connection;
    this.#heardMs = this.#env.clock.monotonicMs();
    connection.start({
      onOpen: () => {
        const again = [...this.#open().keys()];
        if (again.length > 0) connection.write(frame(APPEND, again));
        if (this.#wantsList) this.askList();
      },
      onBytes: (view) => {
        this.#heardMs = this.#env.clock.monotonicMs();
        reader.push(view);
      },
      onClose: () => {
        this.#connection = undefined;
        this.#env.timers.at(this.#env.clock.monotonicMs() + RETRY_MS, () => this.#connect());
      },
    });
  }

  /** Gives up a silent connection: a half-open one never ends by itself. */
  #watch(): void {
    const nowMs = this.#env.clock.monotonicMs();
    if (!this.isListed && nowMs - this.#heardMs > SILENCE_MS) this.#connection?.destroy();
    this.#env.timers.at(nowMs + SILENCE_MS / 4, () => this.#watch());
  }

  #receive(body: Uint8Array): void {
    const ids: number[] = [];
    for (let at = 1; at < body.length; at += 4) ids.push(readU32(body, at));
    if (body[0] === APPEND) for (const id of ids) this.#events.acknowledged(id);
    else if (body[0] === LIST) {
      this.isListed = true;
      this.#events.listed(ids);
    }
  }
}
