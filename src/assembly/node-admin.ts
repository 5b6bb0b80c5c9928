// What the admin room is told of a node and its cluster, put together from the parts of the node.
import type { System } from '../actors/system.ts';
import { adminHandler } from '../admin/routes.ts';
import { LogClient } from '../broker/access/log-client.ts';
import { createRecordAccess } from '../broker/access/record-access.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { definitionNotes } from '../cluster/ports.ts';
import { clusterFacts } from './cluster-door.ts';
import { hostRefs } from './host-refs.ts';
import { autoCreate } from './internal-destinations.ts';
import { Replicas } from './replica-status.ts';
import { SHARDS_SHORT_OF_SPACE } from './shard-names.ts';
import type { Shards } from './shards.ts';
import { ThreadLooks } from './thread-looks.ts';
import { VERSION } from './version.ts';

export interface NodeAdminOptions {
  readonly system: System;
  readonly replica: MetadataReplica;
  readonly shards: Shards;
  /** Worker threads; 0: the main thread is the shard. */
  readonly shardCount: number;
  /** A destination that somebody produces to is made where there is none. */
  readonly mayCreate: boolean;
  /** Of the environment. */
  counters(): Readonly<Record<string, number>>;
  uptimeMs(): number;
  /** Tells the client of links that end. */
  watch(client: LogClient): void;
}

export function nodeAdmin(options: NodeAdminOptions): ReturnType<typeof adminHandler> {
  const { system, replica, shards, shardCount, mayCreate } = options;
  const { env } = system;
  const { view } = replica;
  const refOf = hostRefs(system, replica);
  const client = new LogClient(system, (logId) => {
    const leader = view.log(logId)?.leader ?? -1;
    return leader < 0 ? undefined : refOf(leader, logId);
  });
  options.watch(client);
  const status = new Replicas(system, replica);
  const looks = new ThreadLooks(system, replica, shardCount);
  const sleep = (delayMs: number): Promise<void> =>
    new Promise((resolve) => system.deadlines.after(delayMs, () => resolve()));
  return adminHandler({
    version: VERSION,
    view,
    changes: {
      create: (what, timeoutMs) => shards.changes.create(what, timeoutMs),
      configure: (what, timeoutMs) => shards.changes.configure(what, timeoutMs),
      putUser: (user, timeoutMs) => shards.changes.putUser(user, timeoutMs),
      deleteUser: (name, timeoutMs) => shards.changes.deleteUser(name, timeoutMs),
      putVhost: (name, timeoutMs) => shards.changes.putVhost(name, timeoutMs),
      deleteVhost: (name, timeoutMs) => shards.changes.deleteVhost(name, timeoutMs),
      putPermission: (permission, timeoutMs) => shards.changes.putPermission(permission, timeoutMs),
      deletePermission: (user, vhost, timeoutMs) =>
        shards.changes.deletePermission(user, vhost, timeoutMs),
      deletePolicy: (vhost, name, timeoutMs) => shards.changes.deletePolicy(vhost, name, timeoutMs),
      putPolicy: async (policy, timeoutMs) => {
        const result = await shards.changes.putPolicy(policy, timeoutMs);
        if (result.kind !== 'ok') return result;
        const { name, definition } = policy;
        for (const note of definitionNotes(definition)) env.log.warn('a policy', { name, note });
        return result;
      },
    },
    salt: () => {
      const word = system.random.u32();
      return new Uint8Array([word >>> 24, word >>> 16, word >>> 8, word]);
    },
    cluster: shards.changes,
    clusterFacts: () => clusterFacts(replica.image),
    records: createRecordAccess({
      view,
      client,
      crc32c: env.crc32c.bind(env),
      unpack: env.unpack ?? (() => undefined),
      nowMs: () => env.clock.wallMs(),
      monotonicMs: () => env.clock.monotonicMs(),
      below: (n) => system.random.below(n),
      sleep,
      ...(mayCreate
        ? { create: (name, timeoutMs) => autoCreate(shards.changes, name, timeoutMs) }
        : {}),
    }),
    actors: (node) => looks.look(node),
    control: (thread) => shards.control(thread),
    sleep,
    replicaStatus: () => status.collect(),
    queueCounts: async (logId) => {
      const { queueCounts } = await import('./queue-counts.ts');
      return queueCounts(client, logId);
    },
    uptimeMs: () => options.uptimeMs(),
    wallMs: () => env.clock.wallMs(),
    counters: () => ({
      'main.turns': system.turn.count,
      'main.messages': system.turn.messages,
      ...options.counters(),
      ...shards.counters(),
    }),
    disk: () => ({
      freeBytes: env.disk.freeBytes(),
      isShort: (shards.counters()[SHARDS_SHORT_OF_SPACE] ?? 0) > 0,
    }),
  });
}
