import { expect, test } from 'vitest';
import type { Admission, Ref } from '../../../src/actors/index.ts';
import type { ReplicaOps } from '../../../src/cluster/metadata-shell/metadata-protocol.ts';
import { ShardFeed, type ShardImage } from '../../../src/cluster/metadata-shell/shard-feed.ts';

const UNDER_WAY_MAX = 1_024;
const COMMAND = new Uint8Array([1]);

/** A shard as the main thread sees it: what it was sent, and a ring that can be full. */
class FakeShard {
  readonly sent: string[] = [];
  isFull = false;
  #waiting: (() => void)[] = [];
  readonly ref: Ref<ReplicaOps> = {
    id: { node: 1, incarnation: 0, thread: 1, slot: 1, generation: 0 },
    path: '@1/1/1',
    tell: (op) => void this.sent.push(op),
    offer: (op, input): Admission => {
      if (this.isFull) return 'full';
      if (op === 'image') this.sent.push(`image ${(input as ShardImage).index}`);
      else if (op === 'entries') {
        const { entries } = input as { entries: readonly (readonly [number, Uint8Array])[] };
        this.sent.push(`entries ${entries.map(([index]) => index).join()}`);
      } else this.sent.push(op);
      return 'accepted';
    },
    ready: () => new Promise((resolve) => this.#waiting.push(resolve)),
    ask: () => Promise.reject(new Error('nobody asks')),
  };

  async makeRoom(): Promise<void> {
    this.isFull = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
    await Promise.resolve();
  }
}

function fed() {
  const shards = [new FakeShard(), new FakeShard()] as const;
  let index = 0;
  const feed = new ShardFeed(
    shards.map(({ ref }, at) => ({ thread: at + 1, ref })),
    () => ({ index, controllerId: 1, bytes: new Uint8Array([index]) }),
  );
  const commit = (): void => {
    index += 1;
    feed.entry(index, COMMAND);
    feed.flush(index, 0);
  };
  feed.restart(1);
  feed.restart(2);
  return { feed, first: shards[0], second: shards[1], commit };
}

test('a shard is sent the image when it starts, then every entry', () => {
  const { first, commit } = fed();
  commit();
  commit();
  expect(first.sent).toEqual(['image 0', 'entries 1', 'entries 2']);
});

test('a shard that had no room is sent the image of when it has some, and goes on from there', async () => {
  const { first, second, commit } = fed();
  first.isFull = true;
  commit();
  commit();
  expect(first.sent).toEqual(['image 0']);
  expect(second.sent).toEqual(['image 0', 'entries 1', 'entries 2']);
  await first.makeRoom();
  commit();
  expect(first.sent).toEqual(['image 0', 'image 2', 'entries 3']);
});

test('a controller that could not be told is in the image', async () => {
  const { feed, first } = fed();
  first.isFull = true;
  feed.controller(3);
  await first.makeRoom();
  expect(first.sent).toEqual(['image 0', 'image 0']);
});

test('an image that finds no room is sent later, unless the thread has died meanwhile', async () => {
  const { feed, first, commit } = fed();
  feed.lost(1);
  first.isFull = true;
  feed.restart(1);
  commit();
  await first.makeRoom();
  expect(first.sent).toEqual(['image 0', 'image 1']);
  first.isFull = true;
  commit();
  feed.lost(1);
  await first.makeRoom();
  commit();
  expect(first.sent).toEqual(['image 0', 'image 1']);
  feed.restart(1);
  expect(first.sent).toEqual(['image 0', 'image 1', 'image 3']);
});

test('a shard that does not keep up is sent no more than it can take, and an image at the end', () => {
  const { feed, first, second, commit } = fed();
  feed.applied(1, 0);
  for (let i = 0; i < UNDER_WAY_MAX + 100; i += 1) {
    commit();
    feed.applied(2, i + 1);
  }
  expect(first.sent.length).toBe(1 + UNDER_WAY_MAX);
  expect(second.sent.length).toBe(1 + UNDER_WAY_MAX + 100);
  feed.applied(1, UNDER_WAY_MAX - 1);
  expect(first.sent.length).toBe(1 + UNDER_WAY_MAX);
  feed.applied(1, UNDER_WAY_MAX);
  expect(first.sent[first.sent.length - 1]).toBe(`image ${UNDER_WAY_MAX + 100}`);
  commit();
  expect(first.sent[first.sent.length - 1]).toBe(`entries ${UNDER_WAY_MAX + 101}`);
});
