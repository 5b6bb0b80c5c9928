// `/api/queues` of RabbitMQ's management API: queues that clients declared, of every kind, with the fields that its
// tools look at. What is not known here is left out, never made up: a queue that nobody answers for has no counts.
import type { DestinationView, LogView, PolicyRecord } from '../cluster/ports.ts';
import type { ApiDestination, ApiQueue } from './api-types.ts';
import type { AdminPorts } from './ports.ts';

/** Leaders that are asked at the same time. */
const ASKED_MAX = 64;
/** From then on nobody is asked any more; who was asked last has a second. */
const COUNTS_MS = 4_000;

/** What all queues of one answer have in common. */
interface Listing {
  readonly ports: AdminPorts;
  /** By vhost and name. */
  readonly policies: ReadonlyMap<string, PolicyRecord>;
  /** On the clock of `uptimeMs`. */
  readonly dueMs: number;
}

function listingOf(ports: AdminPorts): Listing {
  const policies = new Map(
    ports.view.policies().map((policy) => [keyOf(policy.vhost, policy.name), policy]),
  );
  return { ports, policies, dueMs: ports.uptimeMs() + COUNTS_MS };
}

const keyOf = (vhost: string, name: string) => `${vhost}\u0000${name}`;

/** Of these vhosts one after another, in order of name. */
export async function queuesOf(ports: AdminPorts, vhosts: readonly string[]): Promise<ApiQueue[]> {
  const all = vhosts
    .flatMap((vhost) => ports.view.in(vhost).destinations())
    .filter(({ queue }) => queue !== undefined);
  const listing = listingOf(ports);
  const found: ApiQueue[] = [];
  for (let from = 0; from < all.length; from += ASKED_MAX) {
    const some = all.slice(from, from + ASKED_MAX);
    found.push(...(await Promise.all(some.map((each) => queueOf(listing, each)))));
  }
  return found;
}

/** Undefined: no queue has that name. */
export async function queueNamed(
  ports: AdminPorts,
  vhost: string,
  name: string,
): Promise<ApiQueue | undefined> {
  const destination = ports.view.in(vhost).destination(name);
  return destination?.queue === undefined ? undefined : queueOf(listingOf(ports), destination);
}

async function queueOf(listing: Listing, destination: DestinationView): Promise<ApiQueue> {
  const { name, queue, policy, logs } = destination;
  const log = logs[0]!;
  const of = policy === undefined ? undefined : listing.policies.get(keyOf(log.vhost, policy));
  const definition = (of?.definition ?? []).map(([key, value]) => [key, JSON.parse(value)]);
  return {
    name,
    vhost: log.vhost,
    type: typeOf(destination),
    durable: queue!.durable,
    auto_delete: queue!.autoDelete,
    exclusive: queue!.owner !== undefined,
    state: log.leader < 0 ? 'down' : 'running',
    policy: policy ?? null,
    effective_policy_definition: Object.fromEntries(
      definition,
    ) as ApiQueue['effective_policy_definition'],
    durability: log.durability,
    ...replicasOf(destination, log),
    ...(await countsOf(listing, log)),
  };
}

function typeOf({ queue }: DestinationView): ApiQueue['type'] {
  return queue?.quorum === undefined ? 'classic' : 'quorum';
}

/** The kind of any destination. */
export function kindOf(destination: DestinationView): ApiDestination['type'] {
  if (destination.queue === undefined) return 'stream';
  return destination.isMirrored === true ? 'mirrored' : typeOf(destination);
}

const nodeName = (id: number) => `n${id}`;

function replicasOf(
  { deliveryLimit, isMirrored }: DestinationView,
  log: LogView,
): Partial<ApiQueue> {
  const { leader, replicas, isr, offline } = log;
  const node = nodeName(leader < 0 ? (replicas[0] ?? 0) : leader);
  if (isMirrored === true) {
    const others = replicas.filter((id) => id !== leader);
    const synchronised = others.filter((id) => isr.includes(id)).map(nodeName);
    return { node, slave_nodes: others.map(nodeName), synchronised_slave_nodes: synchronised };
  }
  if (deliveryLimit === undefined) return { node };
  return {
    node,
    leader: leader < 0 ? '' : nodeName(leader),
    members: replicas.map(nodeName),
    online: replicas.filter((id) => !offline.includes(id)).map(nodeName),
    delivery_limit: deliveryLimit < 0 ? 'unlimited' : deliveryLimit,
  };
}

async function countsOf(
  { ports, dueMs }: Listing,
  { logId, leader }: LogView,
): Promise<Partial<ApiQueue>> {
  const isAsked = leader >= 0 && ports.uptimeMs() < dueMs;
  const counts = isAsked ? await ports.queueCounts(logId) : undefined;
  if (counts === undefined) return {};
  const { ready, leased, consumers, dropped } = counts;
  return {
    messages: ready + leased,
    messages_ready: ready,
    messages_unacknowledged: leased,
    messages_dropped: dropped,
    consumers,
  };
}
