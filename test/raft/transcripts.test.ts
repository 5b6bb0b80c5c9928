// Transcripts: a script of commands and the trace that the cluster answers with, as text that a
// person can check. UPDATE=1 accepts what the code says now. The verbs are in `run` below.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type Entry,
  nodeOfPeer,
  type PeerId,
  peerOf,
  type RaftMessage,
  type Ready,
  type Write,
} from '../../src/raft/index.ts';
import { Cluster, emptyDisk } from './cluster.ts';

const FOLDER = join(import.meta.dirname, '../transcripts/raft');

function peer(id: PeerId): string {
  if (id === 0) return '-';
  const incarnation = id % 2 ** 32;
  return incarnation === 1 ? `${nodeOfPeer(id)}` : `${nodeOfPeer(id)}@${incarnation}`;
}

function peers(ids: readonly PeerId[]): string {
  return ids.map(peer).join(',');
}

function entry({ index, term, kind, data }: Entry): string {
  const text = kind === 'command' ? ` "${new TextDecoder().decode(data)}"` : ` ${kind}`;
  return `${index}/${term}${text}`;
}

function entries(list: readonly Entry[]): string {
  return list.length === 0 ? '' : ` [${list.map(entry).join(', ')}]`;
}

function message(m: RaftMessage): string {
  const head = `${peer(m.from)}>${peer(m.to)} ${m.kind} t${m.term}`;
  switch (m.kind) {
    case 'vote-request': {
      const mark = `${m.isPreVote ? ' pre' : ''}${m.isTransfer ? ' transfer' : ''}`;
      return `${head}${mark} last ${m.lastIndex}/${m.lastTerm}`;
    }
    case 'vote-response':
      return `${head}${m.isPreVote ? ' pre' : ''} ${m.isGranted ? 'yes' : 'no'}`;
    case 'append-request':
      return `${head} prev ${m.prevIndex}/${m.prevTerm} commit ${m.commit}${entries(m.entries)}`;
    case 'append-response':
      return m.isRejected
        ? `${head} rejects ${m.index}, try ${m.hintIndex}/${m.hintTerm}`
        : `${head} matches ${m.index}`;
    case 'heartbeat':
      return `${head} commit ${m.commit} read ${m.readSeq}`;
    case 'heartbeat-response':
      return `${head} read ${m.readSeq}`;
    case 'snapshot-chunk':
      return `${head} ${m.snapshotIndex}/${m.snapshotTerm} at ${m.offset} of ${m.totalBytes}`;
    case 'snapshot-response':
      return `${head} ${m.snapshotIndex}/${m.snapshotTerm} has ${m.offset}`;
    case 'witness-snapshot':
      return `${head} ${m.snapshotIndex}/${m.snapshotTerm}`;
    case 'timeout-now':
      return head;
  }
}

function write(w: Write): string {
  const parts = [`write ${w.attempt}`];
  if (w.truncateFrom !== undefined) parts.push(`cut from ${w.truncateFrom}`);
  if (w.hardState !== undefined)
    parts.push(`term ${w.hardState.term} vote ${peer(w.hardState.vote)}`);
  if (w.snapshot !== undefined) {
    const { snapshot, replacesLog, keepFrom } = w.snapshot;
    const what = replacesLog ? 'replaces the log' : `keep from ${keepFrom}`;
    parts.push(`snapshot ${snapshot.index}/${snapshot.term} ${what}`);
  }
  return parts.join(', ') + entries(w.entries);
}

/** What one Ready says, a line each. */
function trace(id: number, ready: Ready): string[] {
  const lines: string[] = [];
  if (ready.soft !== undefined) {
    const { role, term, leader } = ready.soft;
    lines.push(`${role} in term ${term}, leader ${peer(leader)}`);
  }
  if (ready.write !== undefined) lines.push(write(ready.write));
  for (const m of ready.messages) lines.push(`send ${message(m)}`);
  if (ready.install !== undefined) lines.push(`install ${ready.install.index}`);
  if (ready.committed.length > 0) lines.push(`apply${entries(ready.committed)}`);
  for (const { requestId, index, term } of ready.accepted) {
    lines.push(`request ${requestId} is ${index}/${term}`);
  }
  for (const { requestId, reason } of ready.refusals) {
    lines.push(`request ${requestId} refused: ${reason}`);
  }
  for (const { requestId, index } of ready.reads) lines.push(`read ${requestId} at ${index}`);
  return lines.map((line) => `  ${id}: ${line}`);
}

class Script {
  cluster: Cluster | undefined;
  lines: string[] = [];
  cuts = new Set<string>();
  requests = 0;

  run(command: string): string[] {
    this.lines = [];
    const [verb, ...words] = command.split(' ');
    const numbers = words.map(Number);
    if (verb === 'cluster') this.#make(words);
    else this.#obey(verb, words, numbers);
    return this.lines;
  }

  /** cluster 3 | cluster 3 learners=4 | cluster 3 witnesses=3 | cluster 3 slow-disk chunk=8 */
  #make(words: string[]): void {
    const voters = Array.from({ length: Number(words[0]) }, (_, i) => i + 1);
    const option = (name: string) =>
      words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
    const list = (name: string) => option(name)?.split(',').map(Number) ?? [];
    const [learners, witnesses] = [list('learners'), list('witnesses')];
    this.cluster = new Cluster({
      ids: [...voters, ...learners],
      voters,
      learners,
      witnesses,
      config: { trailingEntries: 0, snapshotChunkBytes: Number(option('chunk') ?? 64) },
      random: () => ({ below: () => 0 }),
      isDiskInstant: !words.includes('slow-disk'),
      isEncoded: true,
      onReady: (id, ready) => this.lines.push(...trace(id, ready)),
    });
  }

  #obey(verb: string, words: string[], [id, other]: number[]): void {
    const cluster = this.cluster!;
    const requestId = ++this.requests;
    const isLost = (m: RaftMessage) => this.cuts.has(`${nodeOfPeer(m.from)}>${nodeOfPeer(m.to)}`);
    switch (verb) {
      // Moves time for everybody, and ticks only the named node.
      case 'tick':
        cluster.nowMs += other;
        cluster.step(id, { kind: 'tick' });
        return;
      case 'advance':
        cluster.advance(id);
        return;
      case 'deliver':
        cluster.settle(isLost);
        return;
      case 'disk':
        if (!cluster.finishWrite(id)) this.lines.push('  nothing to write');
        return;
      case 'cut':
        for (const word of words) this.cuts.add(word);
        return;
      case 'isolate':
        for (const to of cluster.nodes.keys()) this.cuts.add(`${id}>${to}`).add(`${to}>${id}`);
        return;
      case 'heal':
        this.cuts.clear();
        return;
      case 'propose':
        cluster.propose(id, words.slice(1).join(' '), requestId);
        return;
      case 'read':
        cluster.step(id, { kind: 'read-index', requestId });
        return;
      case 'transfer':
        cluster.step(id, { kind: 'transfer', requestId, target: peerOf(other, 1) });
        return;
      case 'change': {
        const list = (word = '') => {
          return word
            .split(',')
            .filter((name) => name !== '' && name !== '-')
            .map((name) => {
              const [node, incarnation] = name.split('@').map(Number);
              return peerOf(node, incarnation ?? 1);
            });
        };
        const change = {
          voters: list(words[1]),
          learners: list(words[2]),
          ...(words[3] === undefined ? {} : { witnesses: list(words[3]) }),
        };
        cluster.step(id, { kind: 'change-membership', requestId, ...change });
        return;
      }
      case 'compact':
        cluster.compact(id);
        return;
      case 'crash':
        cluster.crash(id);
        return;
      case 'restart':
        cluster.restart(id);
        return;
      case 'wipe':
        cluster.start(id, other, emptyDisk(), false);
        return;
      case 'quiet':
        // Runs without a trace until nothing moves.
        cluster.settle(isLost);
        this.lines = [];
        return;
      case 'run':
        // So many tenths of a second in which everybody ticks and talks, without a trace.
        for (let i = 0; i < id; i += 1) {
          cluster.advance(100);
          cluster.settle(isLost);
        }
        this.lines = [];
        return;
      case 'status':
        for (const name of cluster.nodes.keys()) this.lines.push(this.#status(name));
        return;
      default:
        throw new Error(`unknown verb ${verb}`);
    }
  }

  #status(id: number): string {
    const node = this.cluster!.node(id);
    if (node.core === undefined) return `  ${id}: down`;
    const s = node.core.status;
    const { voters, outgoing, learners, witnesses } = s.configuration;
    const joint = outgoing.length > 0 ? `, outgoing ${peers(outgoing)}` : '';
    const learning = learners.length > 0 ? `, learners ${peers(learners)}` : '';
    const watching = witnesses.length > 0 ? `, witnesses ${peers(witnesses)}` : '';
    const marks = `commit ${s.commit}, durable ${s.durableIndex}, last ${s.lastIndex}`;
    const who = `${s.role} in term ${s.term}, leader ${peer(s.leader)}`;
    return `  ${id}: ${who}, ${marks}, voters ${peers(voters)}${joint}${learning}${watching}`;
  }
}

/** Runs a transcript and returns it with what the code says now. */
function replay(text: string): string {
  const script = new Script();
  const out: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue;
    out.push(line);
    if (line === '' || line.startsWith('#')) continue;
    out.push(...script.run(line));
  }
  return out.join('\n');
}

describe('transcripts', () => {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.txt'));

  test('there are some', () => {
    expect(files.length).toBeGreaterThanOrEqual(6);
  });

  test.each(files)('%s', (file) => {
    const path = join(FOLDER, file);
    const text = readFileSync(path, 'utf8');
    const now = replay(text);
    if (process.env['UPDATE'] === '1') writeFileSync(path, now);
    else expect(now).toBe(text);
  });
});
