// The shard of a worker thread: its own links to the shards of other nodes, metadata fed by the main
// thread, and one shard. The root of the worker hands in the Environment.
import { actor } from '../actors/actor.ts';
import { Links } from '../actors/links/links.ts';
import type { Ref } from '../actors/ref.ts';
import { joinThreadGroup } from '../actors/threads/member.ts';
import {
  type MetadataOps,
  MetadataProtocol,
  ReplicaProtocol,
  UNAVAILABLE,
} from '../cluster/metadata-shell/metadata-protocol.ts';
import { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { SLOT_METADATA, SLOT_METADATA_REPLICA } from '../cluster/slots.ts';
import type { Environment } from '../env/environment.ts';
import type { LoadClients } from './client-protocols.ts';
import { DurableKindsError, kindOf, type LoadModule, loadKinds } from './durable-kinds.ts';
import { Fences } from './fences.ts';
import { Neighbours } from './neighbours.ts';
import { PROTOCOLS } from './protocols.ts';
import { type Shard, startShard } from './shard.ts';
import { isClientProtocol } from './shard-names.ts';
import { watchLinks } from './watch-links.ts';
import { type FromWorker, prefixed, type WorkerBoot } from './worker-boot.ts';

/** Between two looks at what the main thread should know; nothing is said when nothing changed. */
const STATUS_MS = 500;
const CHANGE_SLACK_MS = 500;

interface ReplicaArgs {
  readonly replica: MetadataReplica;
  readonly fences: Fences;
  readonly neighbours: Neighbours;
  shard: Shard | undefined;
  applied(index: number): void;
}

const ReplicaActor = actor(
  ReplicaProtocol,
  (_ctx, args: ReplicaArgs) => {
    const { fences, neighbours, replica } = args;
    const controller = (id: number) => replica.setController(id - 1);
    return {
      image({ index, controllerId, bytes }) {
        replica.restore(bytes);
        controller(controllerId);
        replica.publish();
        fences.look();
        neighbours.look();
        args.applied(index);
      },
      entries({ controllerId, entries }) {
        let last = 0;
        for (const [index, command] of entries) {
          if (index <= replica.image.version) continue;
          replica.apply(command, index);
          last = index;
        }
        controller(controllerId);
        replica.publish();
        fences.look();
        neighbours.look();
        args.applied(Math.max(last, replica.image.version));
      },
      controller: ({ controllerId }) => controller(controllerId),
      safeSetRejected: ({ logId, attempt }) => args.shard?.host.safeSetRejected(logId, attempt),
      moveRefused: (move) => args.shard?.host.moveRefused(move),
    };
  },
  // More than the main thread sends before it hears how far this one is: nothing is refused on arrival.
  { mailbox: { capacity: 65_536, overflow: 'reject' } },
);

/** Tells the main thread how far this one is. Without room for it the newest word waits, and is enough. */
function appliedTeller(metadata: Ref<MetadataOps>, thread: number): (index: number) => void {
  let newest = 0;
  let isWaiting = false;
  const send = (): void => {
    if (metadata.offer('shardApplied', { thread, index: newest }) !== 'full') return;
    isWaiting = true;
    // Never rejects without a signal.
    void metadata.ready().then(() => {
      isWaiting = false;
      send();
    });
  };
  return (index) => {
    newest = Math.max(newest, index);
    if (!isWaiting) send();
  };
}

/** What only the root of a worker has. */
export interface WorkerParts extends LoadClients {
  makeEnvironment(boot: WorkerBoot): Environment;
  /** Imports a module of the application. */
  readonly load: LoadModule;
  /** Counters of its environment. */
  counters?(env: Environment): Record<string, number>;
}

async function kindsOfWorker(parts: WorkerParts, { kinds }: WorkerBoot) {
  if (kinds === undefined) return [];
  const found = await loadKinds(parts.load, kinds.url);
  // The file may have changed since the node began: what is registered is what counts.
  const known = JSON.stringify(kinds.expected);
  if (JSON.stringify(found.map(kindOf)) === known) return found;
  throw new DurableKindsError(
    `${kinds.url} is another one than when the node began: stop the node`,
  );
}

/** Runs one shard in this worker until the main thread ends it. */
export async function runWorker(parts: WorkerParts, threadData: unknown): Promise<void> {
  const app = (threadData as { readonly app: WorkerBoot }).app;
  const env = parts.makeEnvironment(app);
  const member = joinThreadGroup(env, { protocols: PROTOCOLS });
  const { system } = member;
  const { thread, node } = system.place;
  const links = new Links(system, { clusterId: app.clusterId, token: app.token });
  for (const { id, host, linkPort } of app.nodes) {
    if (id !== node) links.setAddress(id, { host, port: linkPort });
  }
  links.listensAt = app.nodes
    .filter(({ id }) => id === node)
    .map(({ host, linkPort: port }) => ({ host, port }))[0];
  const replica = new MetadataReplica(node);
  const metadata = system.wellKnown(MetadataProtocol, { thread: 0, slot: SLOT_METADATA });
  const args: ReplicaArgs = {
    replica,
    fences: new Fences(replica, links),
    neighbours: new Neighbours(replica.image, node, links, app.remembered),
    shard: undefined,
    applied: appliedTeller(metadata, thread),
  };
  const post = (message: FromWorker) => member.post(message);
  const shard = await startShard(system, replica, app.shard, {
    send: (command, timeoutMs) =>
      metadata
        .ask('change', { command, timeoutMs }, { timeoutMs: timeoutMs + CHANGE_SLACK_MS })
        .catch(() => UNAVAILABLE),
    propose: (proposal) => metadata.tell('proposeSafeSet', { ...proposal, thread }),
    moveLeader: (move) => metadata.tell('moveLeader', { ...move, thread }),
    resignLog: (logId, epoch) => metadata.tell('resignLog', { logId, epoch }),
    onStoreFailure: (error) => post({ kind: 'failed', message: error.message }),
    amqp: parts.amqp,
    rocketmq: parts.rocketmq,
    kinds: await kindsOfWorker(parts, app),
  });
  args.shard = shard;
  system.spawnWellKnown(SLOT_METADATA_REPLICA, 'metadata', ReplicaActor, args);
  watchLinks(links, (id, ended) => shard.linkEnded(id, ended));
  env.threads.onConnection((connection, tag, head) => {
    if (isClientProtocol(tag)) shard.accept(connection, tag);
    else links.adopt(connection, head);
  });
  member.onStop(async () => {
    await shard.stop();
    // The environment is this worker's own, and its crew with it.
    await env.crew?.close();
    links.close();
  });
  let told = '';
  const report = () => {
    const counters = { ...shard.counters(), ...prefixed('ring', member.hub.counters) };
    Object.assign(counters, prefixed('links', links.counters), parts.counters?.(env));
    const { kafka, amqp, rocketmq } = shard;
    const connections =
      kafka.counters.open + amqp.counters.open + rocketmq.counters.connectionsOpen;
    const hasFailedSync = shard.store.failedSync;
    // That this was told is nothing to tell.
    const { 'threads.posts': _posts, ...news } = counters;
    const text = JSON.stringify([connections, hasFailedSync, news]);
    if (text !== told) post({ kind: 'status', connections, hasFailedSync, counters });
    told = text;
    system.deadlines.after(STATUS_MS, report);
  };
  report();
  member.ready();
}
