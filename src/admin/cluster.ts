// What whoever runs the cluster asks for over HTTP: who its nodes are and what moves, other replicas for a log, nodes
// that leave, settings of the whole. A change is answered when it has begun and every shard of this node knows.
import type { LogView, MetadataResult } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { ApiProblem, invalid, json } from './answers.ts';
import type { ApiCluster, ApiClusterNode } from './api-types.ts';
import type { AdminPorts, ClusterNode } from './ports.ts';
import { type Fields, fieldsIn } from './request-body.ts';

const CHANGE_MS = 5_000;
const NODE_PATH = /^\/api\/cluster\/nodes\/(\d{1,10})\/(drain|remove)$/;
const NODES_MAX = 64;

type Change = (ports: AdminPorts, body: Fields) => Promise<MetadataResult>;

/** What is POSTed where, and the fields that it takes. */
const CHANGES: Readonly<
  Record<string, { readonly fields: readonly string[]; readonly make: Change }>
> = {
  '/api/cluster/reassign': { fields: ['destination', 'partition', 'replicas'], make: reassign },
  '/api/cluster/elect': { fields: ['destination', 'partition', 'unclean'], make: elect },
  '/api/cluster/rebalance': {
    fields: [],
    make: ({ cluster }) => cluster.set('rebalance', 'requested', CHANGE_MS),
  },
  '/api/cluster/settings': { fields: ['name', 'value'], make: set },
};

/** `/api/cluster` and what is below it; undefined for other paths. */
export async function clusterRoute(
  ports: AdminPorts,
  request: HttpRequest,
): Promise<HttpResponse | undefined> {
  const { method, path } = request;
  if (path === '/api/cluster') {
    if (method === 'GET' || method === 'HEAD') return json(200, clusterOf(ports));
    throw new ApiProblem(405, 'METHOD_NOT_ALLOWED', 'only GET is served here');
  }
  const named = NODE_PATH.exec(path);
  const change = named === null ? CHANGES[path] : nodeChange(Number(named[1]), named[2]!);
  if (change === undefined) return undefined;
  if (method !== 'POST')
    throw new ApiProblem(405, 'METHOD_NOT_ALLOWED', 'only POST is served here');
  settled(await change.make(ports, bodyOf(request, change.fields)));
  return json(200, clusterOf(ports));
}

function clusterOf(ports: AdminPorts): ApiCluster {
  const { view } = ports;
  const { nodes, removed, reassignments, settings, profile, isRebalancing } = ports.clusterFacts();
  return {
    clusterId: view.clusterId,
    controllerId: view.controllerId,
    nodes: nodes.map((node) => nodeOf(node, view.controllerId)),
    removedNodes: removed,
    reassignments,
    settings: Object.fromEntries(settings),
    profile,
    isRebalancing,
  };
}

function nodeOf(node: ClusterNode, controllerId: number): ApiClusterNode {
  const { rack, ...rest } = node;
  return {
    ...rest,
    rack: rack ?? null,
    isController: node.id === controllerId,
    state: stateOf(node),
  };
}

function stateOf({ isLive, isLeaving, replicaCount }: ClusterNode): ApiClusterNode['state'] {
  if (isLeaving) return replicaCount === 0 ? 'drained' : 'draining';
  return isLive ? 'live' : 'dead';
}

// ---- Changes ---------------------------------------------------------------------------------------

function bodyOf({ body }: HttpRequest, known: readonly string[]): Fields {
  return body.length === 0 ? {} : fieldsIn(body, known);
}

function logNamed({ view }: AdminPorts, { destination: name, partition = 0 }: Fields): LogView {
  if (typeof name !== 'string') throw invalid('destination must be a name');
  const log = view.destination(name)?.logs[Number(partition)];
  if (log === undefined) {
    throw new ApiProblem(404, 'DESTINATION_UNKNOWN', `there is no ${name}-${String(partition)}`);
  }
  return log;
}

/** Done when it has begun, or its leader is asked to hand over: who leads then shows in the log's replicas. */
async function elect(ports: AdminPorts, body: Fields): Promise<MetadataResult> {
  const { unclean = false } = body;
  if (typeof unclean !== 'boolean') throw invalid('unclean must be true or false');
  const { cluster } = ports;
  const { logId, leader, replicas, isr, offline } = logNamed(ports, body);
  if (unclean) {
    if (leader >= 0) throw notNeeded(`node ${leader} leads it`);
    return cluster.allowUnclean(logId, CHANGE_MS);
  }
  const first = replicas[0]!;
  if (leader === first) throw notNeeded(`node ${first}, its first replica, leads it`);
  if (!isr.includes(first) || offline.includes(first)) {
    const message = `node ${first}, its first replica, is not in sync`;
    throw new ApiProblem(409, 'CLUSTER_NOT_IN_SYNC', message);
  }
  return cluster.preferLeaders([logId], CHANGE_MS);
}

function notNeeded(message: string): ApiProblem {
  return new ApiProblem(409, 'CLUSTER_ELECTION_NOT_NEEDED', message);
}

function reassign(ports: AdminPorts, body: Fields): Promise<MetadataResult> {
  const { replicas } = body;
  const log = logNamed(ports, body);
  // Null: the one that goes on ends.
  const wanted = replicas === null ? [] : replicas;
  const isList =
    Array.isArray(wanted) && wanted.length <= NODES_MAX && wanted.every(Number.isSafeInteger);
  if (!isList || (wanted.length === 0 && replicas !== null)) {
    throw invalid('replicas must be a list of nodes, or null to cancel');
  }
  return ports.cluster.reassign(log.logId, wanted, CHANGE_MS);
}

function set({ cluster }: AdminPorts, { name, value }: Fields): Promise<MetadataResult> {
  if (typeof name !== 'string') throw invalid('name must be the name of a setting');
  if (value !== null && typeof value !== 'number' && typeof value !== 'string') {
    throw invalid('value must be a number, or null for the default');
  }
  const isNone = value === null || (name === 'profile' && value === 'default');
  return cluster.set(name, isNone ? undefined : String(value), CHANGE_MS);
}

function nodeChange(node: number, what: string) {
  const make: Change = ({ cluster }, { cancel = false }) => {
    if (typeof cancel !== 'boolean') throw invalid('cancel must be true or false');
    if (what === 'remove') return cluster.removeNode(node, CHANGE_MS);
    return cluster.drainNode(node, !cancel, CHANGE_MS);
  };
  return { fields: what === 'drain' ? ['cancel'] : [], make };
}

const STATUS_OF: Readonly<Record<string, number>> = {
  'unknown-node': 404,
  'unknown-log': 404,
  'invalid-config': 400,
  'invalid-assignment': 400,
  'invalid-replication-factor': 400,
};

function settled(result: MetadataResult): void {
  if (result.kind === 'ok') return;
  if (result.kind === 'unavailable') {
    throw new ApiProblem(503, 'METADATA_UNAVAILABLE', result.message);
  }
  const code = `CLUSTER_${result.code.toUpperCase().replaceAll('-', '_')}`;
  throw new ApiProblem(STATUS_OF[result.code] ?? 409, code, result.message);
}
