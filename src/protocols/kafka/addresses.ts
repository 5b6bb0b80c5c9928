// Where clients are told to go. A node's own address is the one its client dialled, since nothing else is
// known to work from there; when all nodes are on one host, the others are on that host too.
import type { MetadataView, NodeView } from '../../broker/ports.ts';

const LISTENER_NAME = 'kafka';

export interface Dialled {
  readonly dialledHost: string;
  readonly dialledPort: number;
}

export interface BrokerAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

const ANY_HOST = new Set(['0.0.0.0', '::', '']);
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** One name for all spellings of this machine, so that hosts can be compared. */
function hostClass(host: string): string {
  return ANY_HOST.has(host) || LOOPBACK.has(host) ? 'this machine' : host;
}

function areOnOneHost(nodes: readonly NodeView[]): boolean {
  const hosts = new Set<string>();
  for (const node of nodes) {
    const endpoint = node.endpoints.get(LISTENER_NAME);
    if (endpoint !== undefined) hosts.add(hostClass(endpoint.host));
  }
  return hosts.size <= 1;
}

function addressOf(
  node: NodeView,
  view: MetadataView,
  dialled: Dialled,
  isOneHost: boolean,
): BrokerAddress | undefined {
  const rack = node.rack ?? null;
  if (node.id === view.nodeId) {
    return { nodeId: node.id, host: dialled.dialledHost, port: dialled.dialledPort, rack };
  }
  const endpoint = node.endpoints.get(LISTENER_NAME);
  if (endpoint === undefined) return undefined;
  const host = isOneHost ? dialled.dialledHost : endpoint.host;
  return { nodeId: node.id, host, port: endpoint.port, rack };
}

/** The live nodes that serve Kafka, in id order. */
export function liveBrokers(view: MetadataView, dialled: Dialled): BrokerAddress[] {
  const nodes = view.nodes();
  const isOneHost = areOnOneHost(nodes);
  const brokers: BrokerAddress[] = [];
  for (const node of nodes) {
    const address = node.isLive ? addressOf(node, view, dialled, isOneHost) : undefined;
    if (address !== undefined) brokers.push(address);
  }
  return brokers.sort((a, b) => a.nodeId - b.nodeId);
}

/** The address of one live node, or undefined. */
export function brokerAddress(
  view: MetadataView,
  nodeId: number,
  dialled: Dialled,
): BrokerAddress | undefined {
  const node = view.node(nodeId);
  if (node === undefined || !node.isLive) return undefined;
  return addressOf(node, view, dialled, areOnOneHost(view.nodes()));
}

/**
 * Whom clients send changes of topics to. Every node passes them on to the metadata leader, so while that
 * one is unknown or cannot be dialled a client may as well stay here; some clients give up on -1.
 */
export function controllerId(view: MetadataView, brokers: readonly BrokerAddress[]): number {
  const isKnown = brokers.some(({ nodeId }) => nodeId === view.controllerId);
  return isKnown ? view.controllerId : view.nodeId;
}
