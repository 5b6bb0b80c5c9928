// Which ports the nodes get. A block is five runs of consecutive ports: Kafka from the base, HTTP from
// base + 100, links from base + 200, AMQP and RocketMQ from their usual ports, or from base + 300 and
// base + 400 where a base was asked for. A default block that is not free moves up by ten as a whole; ports that were asked for are
// never exchanged for others.
import net from 'node:net';
import type { NodeAddress } from '../../assembly/node-config.ts';
import { CliFailure, EXIT, usageFailure } from '../failure.ts';
import { portHolder } from './port-holder.ts';

export const BASE_PORT = 9092;
export const HTTP_ABOVE = 100;
export const LINK_ABOVE = 200;
const AMQP_ABOVE = 300;
/** What every AMQP client dials unless it is told otherwise. */
export const AMQP_PORT = 5672;
const ROCKETMQ_ABOVE = 400;
/** Of RocketMQ's own proxy, which its clients' documentation dials. */
export const ROCKETMQ_PORT = 8081;
const BLOCK_STEP = 10;
const BLOCKS_MAX = 40;

export interface PortWishes {
  readonly nodes: number;
  /** Listen address; `localhost` is both loopbacks. */
  readonly host: string;
  /** Given by the user, or undefined. 0: any free ports. */
  readonly basePort?: number;
  readonly kafkaPort?: number;
  readonly amqpPort?: number;
  readonly rocketmqPort?: number;
  readonly httpPort?: number;
  /** Default ports are not moved either. */
  readonly isStrict: boolean;
}

export interface PortPlan {
  readonly nodes: readonly NodeAddress[];
  /** Why the block is not where it usually is, as a sentence; undefined if it is. */
  readonly note: string | undefined;
}

interface Wanted {
  readonly id: number;
  readonly use: 'Kafka' | 'AMQP' | 'RocketMQ' | 'HTTP' | 'link';
  readonly port: number;
  readonly isAsked: boolean;
}

interface Conflict {
  readonly wanted: Wanted;
  readonly code: string;
}

/**
 * Chooses ports that are free now.
 *
 * @throws CliFailure (5) if a port that was asked for is taken.
 */
export async function planPorts(wishes: PortWishes): Promise<PortPlan> {
  const base = wishes.basePort ?? BASE_PORT;
  const isFixed = wishes.isStrict || wishes.basePort !== undefined;
  let first: Conflict | undefined;
  for (let block = 0; block < BLOCKS_MAX; block += 1) {
    const wanted = wantedPorts(wishes, base === 0 ? 0 : base + block * BLOCK_STEP);
    const { conflict, ports } = await reserve(wanted, wishes.host);
    if (conflict === undefined) {
      return { nodes: addresses(wishes, ports), note: first && movedNote(first, ports) };
    }
    if (isFixed || conflict.wanted.isAsked || conflict.code !== 'EADDRINUSE') {
      throw takenFailure(conflict);
    }
    first ??= conflict;
  }
  throw takenFailure(first!);
}

function wantedPorts(wishes: PortWishes, base: number): Wanted[] {
  const wanted: Wanted[] = [];
  const isBaseAsked = wishes.basePort !== undefined;
  const amqpAbove = isBaseAsked ? AMQP_ABOVE : AMQP_PORT - BASE_PORT;
  const rocketmqAbove = isBaseAsked ? ROCKETMQ_ABOVE : ROCKETMQ_PORT - BASE_PORT;
  const add = (id: number, use: Wanted['use'], own: number | undefined, above: number): void => {
    const from = own ?? (base === 0 ? 0 : base + above);
    const port = from === 0 ? 0 : from + id - 1;
    if (port > 65_535)
      throw usageFailure(`there is no port ${port}`, 'Choose a lower --base-port.');
    wanted.push({ id, use, port, isAsked: own !== undefined || isBaseAsked });
  };
  for (let id = 1; id <= wishes.nodes; id += 1) {
    add(id, 'Kafka', wishes.kafkaPort, 0);
    add(id, 'AMQP', wishes.amqpPort, amqpAbove);
    add(id, 'RocketMQ', wishes.rocketmqPort, rocketmqAbove);
    add(id, 'HTTP', wishes.httpPort, HTTP_ABOVE);
    add(id, 'link', undefined, LINK_ABOVE);
  }
  const used = new Map<number, Wanted>();
  for (const one of wanted) {
    const other = used.get(one.port);
    if (one.port !== 0 && other !== undefined) {
      throw usageFailure(
        `port ${one.port} would be both ${other.use} of node ${other.id} and ${one.use} of node ${one.id}`,
        'Move --kafka-port, --amqp-port, --rocketmq-port, --http-port or --base-port.',
      );
    }
    used.set(one.port, one);
  }
  return wanted;
}

function movedNote(first: Conflict, ports: ReadonlyMap<Wanted, number>): string {
  const lowest = [...ports.values()][0];
  return `port ${first.wanted.port} is taken${holderText(first.wanted.port)}: all ports moved to ${lowest} and up`;
}

function holderText(port: number): string {
  const holder = portHolder(port);
  return holder === undefined ? '' : ` by ${holder.command} (pid ${holder.pid})`;
}

function takenFailure({ wanted, code }: Conflict): CliFailure {
  const what = `port ${wanted.port} (${wanted.use} of node ${wanted.id})`;
  if (code === 'EADDRINUSE') {
    return new CliFailure(`${what} is taken${holderText(wanted.port)}`, {
      exitCode: EXIT.taken,
      code: 'DEV_PORT_TAKEN',
      hint: wanted.isAsked
        ? 'Stop its holder, ask for another port, or leave the port options out.'
        : 'Stop its holder, or leave --strict-ports out.',
    });
  }
  return new CliFailure(`${what} cannot be used: ${code}`, {
    exitCode: code === 'EACCES' ? EXIT.denied : EXIT.taken,
    code: 'DEV_PORT_UNUSABLE',
    hint: 'Check --host, and choose ports from 1024 up.',
  });
}

/** Binds everything at once, so that two of our own do not get the same free port, then lets go. */
async function reserve(
  wanted: readonly Wanted[],
  host: string,
): Promise<{ readonly conflict?: Conflict; readonly ports: ReadonlyMap<Wanted, number> }> {
  const servers: net.Server[] = [];
  const ports = new Map<Wanted, number>();
  try {
    for (const one of wanted) {
      const bound = await bind(one.port, host, servers);
      if (typeof bound === 'string') return { conflict: { wanted: one, code: bound }, ports };
      ports.set(one, bound);
    }
    return { ports };
  } finally {
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  }
}

/** The port, or the errno name. */
async function bind(port: number, host: string, servers: net.Server[]): Promise<number | string> {
  if (host !== 'localhost') return bindOne(port, host, servers);
  const first = await bindOne(port, '127.0.0.1', servers);
  if (typeof first === 'string') return first;
  const second = await bindOne(first, '::1', servers);
  const hasNoIpv6 = second === 'EADDRNOTAVAIL' || second === 'EAFNOSUPPORT';
  return typeof second === 'string' && !hasNoIpv6 ? second : first;
}

function bindOne(port: number, host: string, servers: net.Server[]): Promise<number | string> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'EIO'));
    server.listen({ port, host, exclusive: true }, () => {
      servers.push(server);
      resolve((server.address() as net.AddressInfo).port);
    });
  });
}

function addresses(wishes: PortWishes, ports: ReadonlyMap<Wanted, number>): NodeAddress[] {
  const host = dialHost(wishes.host);
  const byId = new Map<number, Record<Wanted['use'], number>>();
  for (const [one, port] of ports) {
    const known = byId.get(one.id) ?? { Kafka: 0, AMQP: 0, RocketMQ: 0, HTTP: 0, link: 0 };
    byId.set(one.id, { ...known, [one.use]: port });
  }
  return [...byId].map(([id, of]) => ({
    id,
    host,
    linkPort: of.link,
    kafkaPort: of.Kafka,
    amqpPort: of.AMQP,
    rocketmqPort: of.RocketMQ,
    httpPort: of.HTTP,
  }));
}

/** One address that reaches a listener bound to `host` from this machine. */
function dialHost(host: string): string {
  if (host === 'localhost' || host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
