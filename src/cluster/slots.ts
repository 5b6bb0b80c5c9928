// Well-known slots: actors that every thread of every node can address without looking anything up.

/** On every shard: client ops of the logs it hosts. */
export const SLOT_LOG_HOST = 1;
/** On every shard: what log hosts of other nodes say. */
export const SLOT_PEERS = 2;
/** On the main thread: metadata (Raft, controller, proposals of this and other nodes). */
export const SLOT_METADATA = 3;
/** On every shard: receives metadata entries from the main thread of its node. */
export const SLOT_METADATA_REPLICA = 4;
