// `/api/queues` of RabbitMQ's management API: queues that clients declared, of every kind, with the fields that its
// tools look at. What is not known here is left out, never made up: a queue that nobody answers for has no counts.
import type { DestinationView, LogView, PolicyRecord } from '../cluster/ports.ts';
import type { ApiDestination, ApiQueue } from './api-types.ts';
import type { AdminPorts } from './ports.ts';

/** Leaders that are asked at the same time. */
const ASKED_MAX = 64;

/** In order of name. */
export async function queuesOf(ports: AdminPorts): Promise<ApiQueue[]> {
  const all = ports.view.destinations().filter(({ queue }) => queue !== undefined);
  const found: ApiQueue[] = [];
  for (let from = 0; from < all.length; from += ASKED_MAX) {
    const some = all.slice(from, from + ASKED_MAX);
    found.push(...(await Promise.all(some.map((each) => queueOf(ports, each)))));
  }
  return found;
}

/** Undefined: no queue has that name. */
export async function queueNamed(ports: AdminPorts, name: string): Promise<ApiQueue | undefined> {
  const destination = ports.view.destination(name);
  return destination?.queue === undefined ? undefined : queueOf(ports, destination);
}

async function queueOf(ports: AdminPorts, destination: DestinationView): Promise<ApiQueue> {
  const { name, queue, policy, logs } = destination;
  const log = logs[0]!;
  const of = policy === undefined ? undefined : policyNamed(ports, policy);
  const definition = (of?.definition ?? []).map(([key, value]) => [key, JSON.parse(value)]);
  return {
    name,
    vhost: '/',
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
    ...(await countsOf(ports, log)),
  };
}

function policyNamed({ view }: AdminPorts, name: string): PolicyRecord | undefined {
  return view.policies().find((each) => each.name === name);
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

async function countsOf(ports: AdminPorts, { logId, leader }: LogView): Promise<Partial<ApiQueue>> {
  const counts = leader < 0 ? undefined : await ports.queueCounts(logId);
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
