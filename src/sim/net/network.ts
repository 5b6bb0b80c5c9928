// The network of a simulation: hosts, links, listeners and connections. Semantics are those of TCP as a
// program sees it: ordered reliable bytes while a connection lives, refusal, resets that kill both ends,
// half-open connections behind a cut, time-outs, back-pressure through a window.
import type { Address, Connection, Listener, Net } from '../../env/environment.ts';
import { between, type CountingRandom, chance, pick } from '../draws.ts';
import { SimSystemError } from '../sim-error.ts';
import type { EventKind } from '../trace.ts';
import { Endpoint, type NetHost } from './endpoint.ts';
import { LAN, Link, type LinkProfile, LOOPBACK } from './link.ts';

const FIRST_EPHEMERAL_PORT = 40_000;
const MS = 1_000_000;

/** What the network asks of the world. Times in nanoseconds. */
export interface NetWorld {
  readonly nowNs: () => number;
  /** An event that belongs to no process: packets, time-outs of the system. */
  readonly at: (atNs: number, kind: EventKind, run: () => void) => void;
}

export interface NetProfile {
  readonly lan: LinkProfile;
  /** Bytes under way and unread per direction before a sender has to wait. */
  readonly windowBytes: number;
  /** Probability that a segment is cut at a random byte. */
  readonly splitProbability: number;
  /** How long unacknowledged bytes wait before the sender gives up. */
  readonly giveUpNs: number;
}

interface HostState {
  isUp: boolean;
  nextPort: number;
}

export interface NetCounts {
  segments: number;
  bytes: number;
  connections: number;
  refused: number;
  timedOut: number;
}

export class Network {
  readonly world: NetWorld;
  readonly random: CountingRandom;
  readonly profile: NetProfile;
  readonly counts: NetCounts = { segments: 0, bytes: 0, connections: 0, refused: 0, timedOut: 0 };
  readonly #links = new Map<string, Link>();
  readonly #hosts = new Map<string, HostState>();
  readonly #names = new Map<string, string>();
  readonly #listeners = new Map<string, { process: NetHost; accept: (c: Connection) => void }>();
  readonly #endpoints = new Set<Endpoint>();
  #nextConnection = 0;

  constructor(world: NetWorld, random: CountingRandom, profile: Partial<NetProfile> = {}) {
    this.world = world;
    this.random = random;
    this.profile = {
      lan: LAN,
      windowBytes: 1 << between(random, 15, 18),
      splitProbability: pick(random, [0, 0.05, 0.3])!,
      giveUpNs: between(random, 4_000, 15_000) * MS,
      ...profile,
    };
  }

  /** Makes a host known under its address and other names. */
  addHost(host: string, names: readonly string[]): void {
    this.#hosts.set(host, { isUp: false, nextPort: FIRST_EPHEMERAL_PORT });
    for (const name of [host, ...names]) this.#names.set(name, host);
  }

  hosts(): readonly string[] {
    return [...this.#hosts.keys()];
  }

  link(from: string, to: string): Link {
    const key = `${from}>${to}`;
    const known = this.#links.get(key);
    if (known !== undefined) return known;
    const profile = from === to ? LOOPBACK : this.profile.lan;
    const made = new Link(from, to, this.random.fork(key), profile);
    this.#links.set(key, made);
    return made;
  }

  /** True if a packet that arrives now gets through. */
  passes(from: string, to: string): boolean {
    return this.#hosts.get(to)?.isUp === true && (from === to || this.link(from, to).passes);
  }

  // ---- hosts and processes -------------------------------------------------------------------

  hostUp(host: string): void {
    const state = this.#hosts.get(host)!;
    if (state.isUp) return;
    state.isUp = true;
    for (const link of this.#links.values()) if (link.to === host) link.flush();
  }

  /** The power went: nothing is said to anyone. */
  hostDown(host: string): void {
    this.#hosts.get(host)!.isUp = false;
  }

  /** Ends what a dead process had open; its peers hear of it only if the system lives. */
  processDied(process: NetHost, isSystemAlive: boolean): void {
    for (const [key, listener] of this.#listeners) {
      if (listener.process === process) this.#listeners.delete(key);
    }
    for (const endpoint of [...this.#endpoints]) {
      if (endpoint.process === process) endpoint.processDied(isSystemAlive);
    }
  }

  // ---- faults --------------------------------------------------------------------------------

  /** Blocks one direction (a cut, a clog) until the answer is called; faults may overlap. */
  block(from: string, to: string): () => void {
    return from === to ? () => undefined : this.link(from, to).block(this.world.nowNs());
  }

  /** Resets one open connection that `fits`; false if there was none. */
  resetOne(random: CountingRandom, fits: (from: string, to: string) => boolean): boolean {
    const open = [...this.#endpoints].filter((end) => end.isOpen && fits(end.host, end.peerHost));
    const chosen = pick(random, open);
    chosen?.reset();
    return chosen !== undefined;
  }

  /** Mends every link, at once. */
  heal(): void {
    for (const link of this.#links.values()) link.clear();
  }

  // ---- for endpoints -------------------------------------------------------------------------

  nextConnectionId(): number {
    this.#nextConnection += 1;
    return this.#nextConnection;
  }

  register(endpoint: Endpoint): void {
    this.#endpoints.add(endpoint);
  }

  unregister(endpoint: Endpoint): void {
    this.#endpoints.delete(endpoint);
  }

  /** Open endpoints of a process, for leak checks. */
  openEndpoints(process: NetHost): number {
    return [...this.#endpoints].filter((end) => end.process === process).length;
  }

  /** Endpoints of a process whose connection to that host was made and has not ended. */
  openBetween(process: NetHost, host: string): number {
    const isIt = (end: Endpoint) => end.process === process && end.peerHost === host && end.isOpen;
    return [...this.#endpoints].filter(isIt).length;
  }

  /** A connection request reached `to`: the accepting endpoint, or undefined if nobody listens. */
  accept(client: Endpoint, to: Address): Endpoint | undefined {
    const listener = this.#listeners.get(`${to.host}:${to.port}`);
    if (listener === undefined) {
      this.counts.refused += 1;
      return undefined;
    }
    this.counts.connections += 1;
    const server = new Endpoint(this, listener.process, to, client.local, to.host, client.host);
    server.pairWith(client);
    listener.process.event('net-event', this.world.nowNs() + 1, () => listener.accept(server));
    return server;
  }

  // ---- the face of a process -----------------------------------------------------------------

  netOf(process: NetHost): Net {
    return {
      listen: (at, accept) => this.#listen(process, at, accept),
      connect: (to, options) => this.#connect(process, to, options.timeoutMs),
    };
  }

  async #listen(
    process: NetHost,
    at: Address,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    process.guard('net.listen');
    const { host } = process;
    if (!isOwnName(at.host) && this.#names.get(at.host) !== host) {
      throw new SimSystemError('EADDRNOTAVAIL', `${at.host} is not an address of ${host}`);
    }
    const port = at.port === 0 ? this.#freePort(host) : at.port;
    const key = `${host}:${port}`;
    if (this.#listeners.has(key)) throw new SimSystemError('EADDRINUSE', key);
    this.#listeners.set(key, { process, accept });
    return {
      address: { host: isOwnName(at.host) ? host : at.host, port },
      close: () => {
        if (this.#listeners.get(key)?.process === process) this.#listeners.delete(key);
      },
    };
  }

  #connect(process: NetHost, to: Address, timeoutMs: number): Connection {
    process.guard('net.connect');
    const { host } = process;
    const local = { host, port: this.#freePort(host) };
    const target = isOwnName(to.host) ? host : this.#names.get(to.host);
    const client = new Endpoint(this, process, local, to, host, target ?? to.host);
    if (target === undefined) {
      client.fail(new SimSystemError('ENOTFOUND', to.host));
      return client;
    }
    client.open({ host: target, port: to.port });
    this.world.at(this.world.nowNs() + Math.ceil(timeoutMs * MS), 'net-event', () =>
      client.openTimedOut(),
    );
    return client;
  }

  #freePort(host: string): number {
    const state = this.#hosts.get(host)!;
    do {
      state.nextPort = state.nextPort >= 65_535 ? FIRST_EPHEMERAL_PORT : state.nextPort + 1;
    } while (this.#listeners.has(`${host}:${state.nextPort}`));
    return state.nextPort;
  }

  /** A segment's size: now and then cut at a random byte. */
  segmentBytes(available: number): number {
    if (available <= 1 || !chance(this.random, this.profile.splitProbability)) return available;
    return between(this.random, 1, Math.min(available, chance(this.random, 0.5) ? 64 : available));
  }
}

const OWN_NAMES: ReadonlySet<string> = new Set([
  'localhost',
  '127.0.0.1',
  '::1',
  '0.0.0.0',
  '::',
  '',
]);

function isOwnName(host: string): boolean {
  return OWN_NAMES.has(host);
}
