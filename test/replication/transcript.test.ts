// Plays the transcripts of test/transcripts/replication: lines with `>` are done, all others are
// what the three nodes must show after them. The cores are the real ones, writes and messages
// happen at once.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FollowerCore } from '../../src/replication/follower-core.ts';
import { LeaderCore } from '../../src/replication/leader-core.ts';
import { chainOf, EMPTY_LOG, grantOf, members } from './rig.ts';

interface Frame {
  readonly epoch: number;
  readonly nextOffset: number;
}

/** The offset that the first record behind frame `seq` gets. */
function offsetBehind(frames: readonly Frame[], seq: number): number {
  return frames[seq - 1]?.nextOffset ?? 0;
}

class Player {
  readonly #nodes = [1, 2, 3].map((node) => ({
    node,
    frames: [] as Frame[],
    committedSeq: 0,
    follower: this.#follower(node, EMPTY_LOG),
  }));
  #leader: LeaderCore | undefined;
  #leading = 0;
  #epoch = 0;

  #follower(node: number, log = EMPTY_LOG): FollowerCore {
    const self = { node, incarnation: 1 };
    return new FollowerCore({ logId: 1, self, log, promisedEpoch: 0 });
  }

  #node(node: number) {
    return this.#nodes[node - 1]!;
  }

  play(line: string): void {
    const [command, first, second] = line.split(' ');
    if (command === 'lead') this.#lead(Number(first));
    else if (command === 'append') this.#append(Number(first));
    else if (command === 'append-refused') expect(this.#leader!.canAppend()).toBe(false);
    else if (command === 'stream') this.#stream(Number(first), Number(second));
    else if (command === 'flush') this.#flush();
    else throw new Error(`unknown command ${line}`);
  }

  #lead(node: number): void {
    if (this.#leader !== undefined) {
      const old = this.#node(this.#leading);
      this.#leader.resign();
      old.follower = this.#follower(old.node, this.#leader.log());
    }
    this.#epoch += 1;
    this.#leading = node;
    this.#leader = new LeaderCore({
      logId: 1,
      self: { node, incarnation: 1 },
      writer: { nodeIncarnation: 4, shardIncarnation: 9 },
      grant: grantOf(this.#epoch),
      replicas: [1, 2, 3],
      safeSet: members(1, 2, 3),
      isr: [1, 2, 3],
      partitionEpoch: this.#epoch,
      mode: 'all',
      minInsync: 2,
      log: this.#node(node).follower.log(),
      live: members(1, 2, 3),
      nowMs: 0,
    });
    this.#write(0);
    for (const { node: to, follower } of this.#nodes) {
      if (to === node) continue;
      follower.follow({ epoch: this.#epoch, leader: node, unclean: false });
      for (const output of follower.take()) {
        if (output.kind === 'send-hello') this.#leader.hello(output.hello);
      }
    }
    for (const output of this.#leader.take()) {
      if (output.kind === 'hello-answer') {
        this.#node(output.node).follower.helloAnswered(output.answer);
      }
    }
  }

  #write(records: number): void {
    const node = this.#node(this.#leading);
    const { frames } = node;
    const seq = frames.length + 1;
    frames.push({ epoch: this.#epoch, nextOffset: offsetBehind(frames, seq - 1) + records });
    this.#leader!.appended(seq, this.#epoch, chainOf(seq, this.#epoch));
    this.#leader!.localDurable(seq);
    node.committedSeq = this.#leader!.committedSeq;
  }

  #append(records: number): void {
    expect(this.#leader!.canAppend()).toBe(true);
    this.#write(records);
  }

  /** Frames up to `throughSeq` reach the node, are durable there and acknowledged. */
  #stream(to: number, throughSeq: number): void {
    const leader = this.#leader!;
    const source = this.#node(this.#leading);
    const { follower, frames } = this.#node(to);
    for (let seq = leader.progress(to)!.nextSeq; seq <= throughSeq; seq += 1) {
      const frame = source.frames[seq - 1]!;
      const previous = chainOf(seq - 1, source.frames[seq - 2]?.epoch ?? 0);
      const chain = chainOf(seq, frame.epoch);
      expect(follower.frame(this.#epoch, seq, frame.epoch, chain, previous)).toBe('append');
      frames.push(frame);
      leader.sent(to, seq);
    }
    follower.durable(throughSeq);
    for (const output of follower.take()) {
      if (output.kind !== 'send-ack') continue;
      leader.ack(to, 1, output.epoch, output.durableSeq, output.chain);
    }
    source.committedSeq = leader.committedSeq;
  }

  #flush(): void {
    for (const each of this.#nodes) {
      const seq = this.#leader!.committedToSend(each.node);
      if (seq < 0) continue;
      each.follower.leaderCommitted(this.#epoch, seq);
      this.#leader!.committedSent(each.node, seq);
      each.committedSeq = each.follower.committedSeq;
    }
  }

  picture(): string[] {
    return this.#nodes.map(({ node, frames, committedSeq }) => {
      const leo = offsetBehind(frames, frames.length);
      const hw = offsetBehind(frames, committedSeq);
      const seen = hw === 0 ? 'nothing' : `0 to ${hw - 1}`;
      return `node ${node}: seq ${frames.length}, LEO ${leo}, HW ${hw}, consumers see ${seen}`;
    });
  }
}

test('LEO 9, HW 6, consumers see 0 to 5: what clients see follows from the committed seq', () => {
  const file = new URL('../transcripts/replication/leo-hw.txt', import.meta.url);
  const lines = readFileSync(file, 'utf8').split('\n');
  const player = new Player();
  let compared = 0;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at]!;
    if (line.startsWith('> ')) player.play(line.slice(2));
    if (!line.startsWith('node 1')) continue;
    expect(lines.slice(at, at + 3), `line ${at + 1}`).toEqual(player.picture());
    compared += 1;
  }
  expect(compared).toBeGreaterThan(7);
});
