// Names that both sides of a shard use: the thread that accepts connections, and the one that serves them.
// Apart from shard.ts, because the main thread of a node with worker threads must not load what only they
// run: protocols, broker, log host (a test counts).

/** Folder of a shard (0 is the first) inside the data folder of its node. */
export function shardDirectory(shard: number): string {
  return `shard-${String(shard).padStart(3, '0')}`;
}

/** Who speaks on a connection that the main thread has accepted: which listener it came to. */
const CLIENT_PROTOCOLS = ['kafka', 'amqp', 'rocketmq'] as const;
export type ClientProtocol = (typeof CLIENT_PROTOCOLS)[number];

export function isClientProtocol(tag: string): tag is ClientProtocol {
  return (CLIENT_PROTOCOLS as readonly string[]).includes(tag);
}

/** Counter of the shards of a node to which nothing is published because the disk is too full. */
export const SHARDS_SHORT_OF_SPACE = 'storage.shardsShortOfSpace';
