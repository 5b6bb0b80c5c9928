// A cluster of real nodes in this process: real sockets on free ports, data in memory or in a folder.

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { localShards } from '../../../src/assembly/local-shards.ts';
import { type NodeParts, nodeStarter } from '../../../src/assembly/node.ts';
import type {
  NodeAddress,
  NodeConfig,
  NodeEvent,
  NodeRole,
  RunningNode,
} from '../../../src/assembly/node-config.ts';
import type { Environment } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import { createHttpServer } from '../../../src/env/node/http.ts';
import { createNodeLog } from '../../../src/env/node/log.ts';
import { startAmqpListener } from '../../../src/protocols/amqp/listener.ts';
import { startRocket } from '../../../src/rocketmq.ts';

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve) =>
        server.listen(0, '127.0.0.1', () => resolve(server)),
      );
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export interface TestCluster {
  readonly addresses: readonly NodeAddress[];
  readonly nodes: Map<number, RunningNode>;
  readonly events: { readonly node: number; readonly event: NodeEvent }[];
  start(id: number, isFounding: boolean): Promise<void>;
  /** Resolves when each of these nodes is ready, in the life that began last. */
  ready(ids?: readonly number[]): Promise<void>;
  /** Resolves when any node tells that event, now or earlier but behind `from` in `events`. */
  told(isIt: (event: NodeEvent) => boolean, from?: number): Promise<void>;
  /** A node that is in nobody's list, on ports of its own that it keeps. Rejects where it is refused. */
  join(id: number, wish: JoinWish): Promise<void>;
  stopNode(id: number): Promise<void>;
  /** Another node of that number, on a folder and ports of its own; the caller stops it. */
  startDouble(id: number, dataRoot: string): Promise<RunningNode>;
  stop(): Promise<void>;
}

export interface JoinWish {
  readonly dataRoot: string;
  /** Who is asked. */
  readonly members: readonly number[];
  /** Of one more that is asked, whoever has it. */
  readonly port?: number;
  readonly token?: string;
}

export interface TestClusterOptions {
  readonly nodes?: number;
  /** Of those that are no disk nodes. */
  readonly roles?: Readonly<Record<number, NodeRole>>;
  /** Worker threads per node; `parts.makeShards` must fit. */
  readonly shards?: number;
  readonly dataRoot?: (id: number) => string;
  /** What each node is told of the queues that are declared there. */
  readonly queueReplicas?: (id: number) => number | undefined;
  /** What each node is started with. */
  readonly profile?: string;
  readonly rackOf?: (id: number) => string;
  readonly parts?: Partial<NodeParts>;
  /** What a node gets in the place of its environment. */
  readonly envOf?: (env: Environment) => Environment;
  readonly partsOf?: (id: number) => Partial<NodeParts>;
}

export async function testCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const count = options.nodes ?? 3;
  const ports = await freePorts(count * 5);
  const addresses = Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    host: '127.0.0.1',
    linkPort: ports[index * 5] ?? 0,
    kafkaPort: ports[index * 5 + 1] ?? 0,
    httpPort: ports[index * 5 + 2] ?? 0,
    amqpPort: ports[index * 5 + 3] ?? 0,
    rocketmqPort: ports[index * 5 + 4] ?? 0,
    role: options.roles?.[index + 1] ?? 'disk',
  }));
  const log = createNodeLog({
    level: process.env['CALLBOARD_TEST_LOG'] === undefined ? 'silent' : 'debug',
  });
  const nodes = new Map<number, RunningNode>();
  const events: TestCluster['events'] = [];
  const waiting: (() => void)[] = [];
  const lives = new Map<number, number>();
  const startOne = (
    id: number,
    isFounding: boolean,
    dataRoot: string | undefined,
    its: readonly NodeAddress[],
    change: Partial<NodeConfig> = {},
  ): Promise<RunningNode> => {
    const queueReplicas = options.queueReplicas?.(id);
    const config: NodeConfig = {
      clusterId: 'test-cluster',
      nodeId: id,
      nodes: its,
      dataRoot,
      shards: options.shards ?? 0,
      host: '127.0.0.1',
      ...(queueReplicas === undefined ? {} : { queueReplicas }),
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      ...(options.rackOf === undefined ? {} : { rack: options.rackOf(id) }),
      token: 'secret',
      isFounding,
      ...change,
    };
    const env = createNodeEnvironment({
      ...(dataRoot === undefined ? {} : { dataRoot }),
      log: log.child({ node: id }),
    });
    const start = nodeStarter({
      makeShards: localShards,
      amqp: () => startAmqpListener,
      rocketmq: () => startRocket,
      http: createHttpServer({ log, names: [] }),
      ...options.parts,
      ...options.partsOf?.(id),
    });
    return start(options.envOf?.(env) ?? env, config);
  };
  const joined = new Map<number, NodeAddress>();
  const began = (id: number, node: RunningNode): void => {
    nodes.set(id, node);
    lives.set(id, events.length);
    node.onEvent((event) => {
      events.push({ node: id, event });
      for (const wake of waiting.splice(0)) wake();
    });
  };
  const cluster: TestCluster = {
    addresses,
    nodes,
    events,
    async start(id, isFounding) {
      const node = await startOne(id, isFounding, options.dataRoot?.(id), addresses);
      began(id, node);
    },
    async join(id, { dataRoot, members, port, token = 'secret' }) {
      const [linkPort, kafkaPort, httpPort, amqpPort, rocketmqPort] = await freePorts(5);
      const own = { linkPort, kafkaPort, httpPort, amqpPort, rocketmqPort } as NodeAddress;
      const address = joined.get(id) ?? { ...own, id, host: '127.0.0.1' };
      const asked = addresses.filter((each) => members.includes(each.id));
      const ports = [...asked.map((each) => each.linkPort), ...(port === undefined ? [] : [port])];
      const join = ports.map((each) => ({ host: '127.0.0.1', port: each }));
      const change = { clusterId: '', join, token };
      const node = await startOne(id, false, dataRoot, [address], change);
      joined.set(id, address);
      began(id, node);
    },
    async ready(ids = addresses.map((each) => each.id)) {
      const isReady = (id: number) =>
        events
          .slice(lives.get(id) ?? 0)
          .some((each) => each.node === id && each.event.event === 'ready');
      while (!ids.every(isReady)) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async told(isIt, from = 0) {
      while (!events.slice(from).some((each) => isIt(each.event))) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    async stopNode(id) {
      await nodes.get(id)?.stop();
      nodes.delete(id);
    },
    async startDouble(id, dataRoot) {
      const [linkPort, kafkaPort, httpPort, amqpPort, rocketmqPort] = await freePorts(5);
      const own = { linkPort, kafkaPort, httpPort, amqpPort, rocketmqPort } as Partial<NodeAddress>;
      const its = addresses.map((each) => (each.id === id ? { ...each, ...own } : each));
      return startOne(id, false, dataRoot, its);
    },
    async stop() {
      await Promise.all([...nodes.values()].map((node) => node.stop()));
      nodes.clear();
    },
  };
  await Promise.all(addresses.map(({ id }) => cluster.start(id, true)));
  return cluster;
}
