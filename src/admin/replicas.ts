// The replicas of a destination's logs: who is assigned, in sync and not, how far each reaches and how far behind the
// leader, and what an election at the price of loss has cost.
import type { LogStatus, LogView, ReplicaStatus } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { ApiProblem, invalid, json } from './answers.ts';
import type { ApiReplica, ApiReplicas } from './api-types.ts';
import type { AdminPorts } from './ports.ts';

/** `/api/topics/NAME/replicas`; undefined for other paths. */
export async function replicasRoute(
  ports: AdminPorts,
  request: HttpRequest,
): Promise<HttpResponse | undefined> {
  const [api, what, name, last, ...rest] = request.parts;
  const isHere = api === 'api' && what === 'topics' && last === 'replicas' && rest.length === 0;
  if (!isHere || name === undefined) return undefined;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new ApiProblem(405, 'METHOD_NOT_ALLOWED', 'only GET is served here');
  }
  if (request.query.size > 0) throw invalid('no parameters are known here');
  const found = ports.view.destination(name);
  if (found === undefined) {
    throw new ApiProblem(404, 'DESTINATION_UNKNOWN', `there is no destination ${name}`);
  }
  const status = await ports.replicaStatus();
  const body: ApiReplicas = { name, partitions: found.logs.map((log) => partitionOf(log, status)) };
  return json(200, body);
}

function partitionOf(log: LogView, status: ReplicaStatus): ApiReplicas['partitions'][number] {
  const { logId, partition, leader, epoch, replicas, isr, minInsync } = log;
  const statuses = status.all.get(logId);
  const leading = status.leaders.get(logId);
  const isUnclean = leading !== undefined && leading.uncleanFrom >= 0;
  return {
    partition,
    leader: leader < 0 ? null : leader,
    epoch,
    minInsync,
    assigned: replicas,
    inSync: isr,
    outOfSync: replicas.filter((node) => !isr.includes(node)),
    highWatermark: leading?.committedOffset ?? null,
    endOffset: leading?.endOffset ?? null,
    uncleanFrom: isUnclean ? leading.uncleanFrom : null,
    replicas: replicas.map((node) => replicaOf(node, log, statuses?.get(node), leading)),
  };
}

function replicaOf(
  node: number,
  log: LogView,
  own: LogStatus | undefined,
  leading: LogStatus | undefined,
): ApiReplica {
  const lag =
    own === undefined || leading === undefined
      ? null
      : Math.max(0, leading.endOffset - own.endOffset);
  const lost =
    own === undefined || own.lostFrom < 0
      ? null
      : { from: own.lostFrom, committedTo: own.lostCommittedTo, to: own.lostTo };
  return {
    node,
    state: stateOf(node, log, own),
    startOffset: own?.startOffset ?? null,
    highWatermark: own?.committedOffset ?? null,
    endOffset: own?.endOffset ?? null,
    lag,
    lost,
  };
}

function stateOf(
  node: number,
  { leader, isr, offline }: LogView,
  own: LogStatus | undefined,
): ApiReplica['state'] {
  if (own?.role === 'failed') return 'failed';
  if (offline.includes(node)) return 'offline';
  if (own === undefined) return 'silent';
  if (node === leader) return 'leader';
  return isr.includes(node) ? 'in sync' : 'out of sync';
}
