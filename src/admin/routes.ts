// The routes of the admin API and the status page. Every answer of the API is JSON; every problem has a
// stable code. Runs on the main thread of each node; any node answers for the whole cluster, but for the
// control of threads, which is their own node's.
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { whoAsks } from './access.ts';
import { actorsOf, inspectionOf } from './actors.ts';
import { ApiProblem, failure, json } from './answers.ts';
import { clusterRoute } from './cluster.ts';
import { managementRoute } from './management.ts';
import { ManagementProblem, managementFailure } from './management-answers.ts';
import { messages, produce } from './messages.ts';
import { destinationsOf, statusOf } from './overview.ts';
import type { AdminPorts } from './ports.ts';
import { threadRoute } from './threads.ts';
import { PAGE } from './web/page.ts';

const MESSAGES = /^\/api\/destinations\/([^/]+)\/messages$/;

async function route(ports: AdminPorts, request: HttpRequest): Promise<HttpResponse> {
  const { method, path } = request;
  const asking = whoAsks(ports, request);
  const isRead = method === 'GET' || method === 'HEAD';
  const named = MESSAGES.exec(path);
  if (named !== null) {
    const name = named[1] ?? '';
    if (method === 'POST') return json(200, await produce(ports, name, request));
    if (isRead) return json(200, await messages(ports, name, request));
    throw new ApiProblem(405, 'METHOD_NOT_ALLOWED', 'GET and POST are served here');
  }
  const ofThread = await threadRoute(ports, request);
  if (ofThread !== undefined) return ofThread;
  const ofCluster = await clusterRoute(ports, request);
  if (ofCluster !== undefined) return ofCluster;
  const ofManagement = await managementRoute(ports, request, asking);
  if (ofManagement !== undefined) return ofManagement;
  if (path.startsWith('/api/topics/')) {
    // Knows the rules of topics, which a main thread does not load before somebody asks.
    const { replicasRoute } = await import('./replicas.ts');
    const ofReplicas = await replicasRoute(ports, request);
    if (ofReplicas !== undefined) return ofReplicas;
    const { topicRoute } = await import('./topics.ts');
    const ofTopic = await topicRoute(ports, request);
    if (ofTopic !== undefined) return ofTopic;
  }
  if (!isRead) throw new ApiProblem(405, 'METHOD_NOT_ALLOWED', 'only GET is served here');
  switch (path) {
    case '/':
      return { status: 200, contentType: 'text/html; charset=utf-8', body: PAGE };
    case '/api/status':
      return json(200, statusOf(ports));
    case '/api/destinations':
      return json(200, { destinations: await destinationsOf(ports) });
    case '/api/counters':
      return json(200, ports.counters());
    case '/api/actors':
      return json(200, await actorsOf(ports, request));
    case '/api/inspection':
      return json(200, await inspectionOf(ports, request));
    default:
      throw new ApiProblem(404, 'PATH_UNKNOWN', `nothing is served at ${path}`);
  }
}

/** The handler of a node's HTTP listener. */
export function adminHandler(ports: AdminPorts): (request: HttpRequest) => Promise<HttpResponse> {
  return async (request) => {
    try {
      return await route(ports, request);
    } catch (error) {
      if (error instanceof ApiProblem) return failure(error);
      if (error instanceof ManagementProblem) return managementFailure(error);
      throw error;
    }
  };
}
