// The cluster as whoever runs it sees and changes it: all logs, whatever vhost they are in, and every node's share.
import type { ClusterFacts, ClusterNode } from '../admin/ports.ts';
import {
  CLUSTER_SETTINGS,
  isRebalanceRequested,
  profileOf,
  settingOf,
} from '../cluster/metadata/cluster-settings.ts';
import type { MetadataImage } from '../cluster/metadata/image.ts';
import { countsOn } from '../cluster/metadata/roles.ts';
import type { NodeRecord } from '../cluster/metadata/types.ts';

export function clusterFacts(image: MetadataImage): ClusterFacts {
  const preferred = new Map<number, number>();
  for (const { replicas } of image.logs()) {
    const first = replicas[0]!;
    preferred.set(first, (preferred.get(first) ?? 0) + 1);
  }
  return {
    nodes: image.nodes().map((node) => nodeOf(image, node, preferred.get(node.id) ?? 0)),
    removed: image.removedNodes().map(({ id }) => id),
    reassignments: image.reassigningLogs().map((logId) => {
      const { destination, partition, replicas, adding, removing } = image.log(logId)!;
      return { destination, partition, replicas, adding, removing };
    }),
    settings: Object.keys(CLUSTER_SETTINGS).map((name) => [name, settingOf(image, name)] as const),
    profile: profileOf(image),
    isRebalancing: isRebalanceRequested(image),
  };
}

function nodeOf(image: MetadataImage, node: NodeRecord, preferredCount: number): ClusterNode {
  const { id, role, rack, isFenced, isLeaving, endpoints } = node;
  const link = endpoints.find(({ listener }) => listener === 'link');
  const replicaCount = image.hostedCount(id);
  let outOfSyncCount = 0;
  for (const logId of image.logsOn(id)) {
    const log = image.log(logId)!;
    if (!log.isr.includes(id) && countsOn(image, log, id)) outOfSyncCount += 1;
  }
  return {
    id,
    role,
    rack,
    address: link === undefined ? '' : `${link.host}:${link.port}`,
    isLive: !isFenced,
    isLeaving,
    leaderCount: image.ledCount(id),
    preferredCount,
    replicaCount,
    outOfSyncCount,
  };
}
