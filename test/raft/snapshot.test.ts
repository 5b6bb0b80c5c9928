// Snapshots: compaction, streaming in chunks, resuming, damage on the way, repeats, and the order in
// which storage is told.
import { describe, expect, test } from 'vitest';
import { peerOf, type RaftMessage, type Write } from '../../src/raft/index.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';

const P3 = peerOf(3, 1);
const isChunk = (m: RaftMessage) => m.kind === 'snapshot-chunk';

/** Node 3 missed `count` entries that node 1 has compacted away. */
function laggard(count: number, options: Partial<ClusterOptions> = {}): Cluster {
  const cluster = new Cluster({
    ids: [1, 2, 3],
    random: () => ({ below: () => 0 }),
    isDiskInstant: true,
    isEncoded: true,
    config: { trailingEntries: 0, snapshotChunkBytes: 16 },
    ...options,
  });
  cluster.elect(1);
  cluster.crash(3);
  for (let i = 0; i < count; i += 1) cluster.propose(1, `entry ${i}`);
  cluster.settle();
  cluster.compact(1);
  cluster.restart(3);
  return cluster;
}

function beat(cluster: Cluster, isLost?: (m: RaftMessage) => boolean): void {
  cluster.advance(100);
  cluster.settle(isLost);
}

describe('a peer below the compacted log', () => {
  test('gets the snapshot in chunks and then the log', () => {
    const cluster = laggard(50);
    cluster.propose(1, 'after');
    beat(cluster);
    expect(cluster.node(3).applied).toEqual(cluster.node(1).applied);
    expect(cluster.core(3).status.snapshotIndex).toBe(51);
    expect(cluster.node(3).disk.snapshot?.index).toBe(51);
  });

  test('goes on where it stopped when chunks are lost', () => {
    const cluster = laggard(50);
    let chunks = 0;
    const total = Math.ceil(JSON.stringify(cluster.node(1).applied).length / 16);
    const isLost = (m: RaftMessage) => {
      if (!isChunk(m)) return false;
      chunks += 1;
      return chunks % 7 === 0;
    };
    for (let i = 0; i < 60; i += 1) beat(cluster, isLost);
    expect(cluster.node(3).applied).toEqual(cluster.node(1).applied);
    expect(chunks).toBeLessThan(total * 2);
  });

  test('goes on under another leader that has the same snapshot', () => {
    const cluster = laggard(50);
    cluster.compact(2);
    let chunks = 0;
    beat(cluster, (m) => isChunk(m) && ++chunks > 10);
    cluster.step(1, { kind: 'transfer', requestId: 1, target: peerOf(2, 1) });
    const offsets: number[] = [];
    cluster.settle((m) => {
      if (m.kind === 'snapshot-chunk') offsets.push(m.offset);
      return false;
    });
    for (let i = 0; i < 5; i += 1) beat(cluster);
    expect(cluster.leaders()).toEqual([2]);
    expect(cluster.node(3).applied).toEqual(cluster.node(2).applied);
    // The first chunk is sent to learn how far the follower is; the rest is not repeated.
    expect(offsets.filter((offset) => offset > 16 && offset < 144)).toEqual([]);
  });

  test('installs nothing when the checksum is wrong, and asks again', () => {
    const cluster = laggard(5);
    cluster.advance(100);
    let isDamaged = false;
    for (let i = 0; i < 1000 && cluster.network.length > 0; i += 1) {
      const message = cluster.network.shift()!;
      if (message.kind === 'snapshot-chunk' && message.offset === 16 && !isDamaged) {
        isDamaged = true;
        const data = message.data.slice();
        data[3] ^= 1;
        cluster.deliver({ ...message, data });
      } else {
        cluster.deliver(message);
      }
    }
    for (let i = 0; i < 5; i += 1) beat(cluster);
    expect(isDamaged).toBe(true);
    expect(cluster.node(3).applied).toEqual(cluster.node(1).applied);
  });

  test('repeated and overlapping chunks change nothing after the install', () => {
    const cluster = laggard(20);
    const chunks: RaftMessage[] = [];
    beat(cluster, (m) => {
      if (isChunk(m)) chunks.push(m);
      return false;
    });
    beat(cluster);
    const before = cluster.core(3).status;
    for (const chunk of [...chunks, ...chunks]) cluster.deliver(chunk);
    cluster.settle();
    expect(cluster.core(3).status).toMatchObject({
      commit: before.commit,
      lastIndex: before.lastIndex,
    });
    expect(cluster.node(3).applied).toEqual(cluster.node(1).applied);
  });

  test('acknowledges a snapshot only when it is durable', () => {
    const writes: Write[] = [];
    const onReady: ClusterOptions['onReady'] = (id, ready) => {
      if (id === 3 && ready.write?.snapshot !== undefined) writes.push(ready.write);
    };
    const cluster = laggard(20, { onReady });
    beat(cluster);
    expect(writes).toHaveLength(1);
    expect(writes[0]).toMatchObject({ entries: [], snapshot: { replacesLog: true } });
  });
});

describe('compaction', () => {
  test('keeps trailing entries, so that a slightly slow peer needs no snapshot', () => {
    const cluster = laggard(50, { config: { trailingEntries: 60 } });
    let chunks = 0;
    beat(cluster, (m) => {
      if (isChunk(m)) chunks += 1;
      return false;
    });
    expect(chunks).toBe(0);
    expect(cluster.node(3).applied).toHaveLength(50);
  });

  test('an older image is ignored, an image of unapplied entries is a fault', () => {
    const cluster = laggard(10);
    const { snapshotIndex } = cluster.core(1).status;
    cluster.step(1, { kind: 'compact', index: snapshotIndex - 1, data: new Uint8Array(1) });
    expect(cluster.core(1).status.snapshotIndex).toBe(snapshotIndex);
    const ahead = { kind: 'compact', index: snapshotIndex + 5, data: new Uint8Array(1) } as const;
    expect(() => cluster.step(1, ahead)).toThrow(/applied entries only/);
  });

  test('a restart from snapshot and tail gives the same state', () => {
    const cluster = laggard(10);
    cluster.propose(1, 'tail');
    beat(cluster);
    const before = cluster.node(1).applied;
    cluster.crash(1);
    cluster.restart(1);
    expect(cluster.core(1).status).toMatchObject({ snapshotIndex: 11, lastIndex: 12 });
    cluster.elect(1);
    expect(cluster.node(1).applied).toEqual(before);
    expect(cluster.node(3).disk.entries.every((entry) => entry.index > 11)).toBe(true);
    expect(cluster.core(3).status.configuration.voters).toContain(P3);
  });
});
