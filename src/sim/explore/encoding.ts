// Names of states: equal names mean that nothing that can happen later tells the two apart. Peers are renamed on the
// way, so that mirror images have one name. Times are left out: they stand still.
import {
  decodeConfiguration,
  type Entry,
  type HardState,
  type PeerId,
  type RaftMessage,
} from '../../raft/index.ts';
import { type Life, NOBODY, numberOf } from './life.ts';

/** New numbers of the peers 0, 1, 2. */
export type Renaming = readonly [number, number, number];

export const RENAMINGS: readonly Renaming[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

export function renamed(node: number, names: Renaming): number {
  return node === NOBODY ? NOBODY : names[node]!;
}

function peer(id: PeerId, names: Renaming): number {
  return renamed(numberOf(id), names);
}

function peers(ids: readonly PeerId[], names: Renaming): string {
  return ids
    .map((id) => peer(id, names))
    .sort()
    .join('');
}

/** Term and content. */
function nameOfEntry(entry: Entry, names: Renaming): string {
  const { term, kind, data } = entry;
  if (kind === 'noop') return `${term}n`;
  if (kind === 'command') return `${term}x${data[0]}`;
  if (kind === 'withheld') return `${term}w`;
  const { voters, outgoing } = decodeConfiguration(data);
  return `${term}c${peers(voters, names)}/${peers(outgoing, names)}`;
}

function entriesOf(entries: readonly Entry[], names: Renaming): string {
  return entries.map((entry) => nameOfEntry(entry, names)).join(' ');
}

function hard(state: HardState, names: Renaming): string {
  return `${state.term},${peer(state.vote, names)},${state.commit}`;
}

export function nameOfMessage(message: RaftMessage, names: Renaming): string {
  const { kind, from, to, term } = message;
  const head = `${kind} ${peer(from, names)}>${peer(to, names)} t${term}`;
  switch (message.kind) {
    case 'vote-request':
      return `${head} ${message.lastTerm}.${message.lastIndex} ${message.isPreVote}`;
    case 'vote-response':
      return `${head} ${message.isGranted ? 'yes' : 'no'} ${message.isPreVote}`;
    case 'append-request': {
      const { prevIndex, prevTerm, commit, entries } = message;
      return `${head} ${prevTerm}.${prevIndex} c${commit} [${entriesOf(entries, names)}]`;
    }
    case 'append-response': {
      const { isRejected, index, hintIndex, hintTerm } = message;
      return `${head} ${isRejected ? `no ${hintTerm}.${hintIndex}` : 'yes'} ${index}`;
    }
    case 'heartbeat':
      return `${head} c${message.commit} r${message.readSeq}`;
    case 'heartbeat-response':
      return `${head} r${message.readSeq}`;
    default:
      return head;
  }
}

/** What the checks look at, and what decides which acts are possible. */
export interface View {
  readonly role: string;
  readonly term: number;
  readonly commit: number;
  /** By index, from 1; the first is left empty. */
  readonly log: readonly string[];
  readonly diskTerm: number;
  readonly diskVote: number;
  readonly diskLog: readonly string[];
  readonly pending: number;
}

const SAME = RENAMINGS[0]!;

export function viewOf({ core, disk, pending }: Life): View {
  const { state } = core;
  return {
    role: state.role,
    term: state.term,
    commit: state.log.commit,
    log: ['', ...logOf(core.state.log).map((entry) => nameOfEntry(entry, SAME))],
    diskTerm: disk.hardState.term,
    diskVote: numberOf(disk.hardState.vote),
    diskLog: ['', ...disk.entries.map((entry) => nameOfEntry(entry, SAME))],
    pending: pending.length,
  };
}

function logOf(log: Life['core']['state']['log']): Entry[] {
  const entries: Entry[] = [];
  for (let index = 1; index <= log.lastIndex; index += 1) entries.push(log.entryAt(index)!);
  return entries;
}

/** A function of renamings, taken before the life goes on. `held`: what leaves as its writes are done, one by one. */
export function namerOf(life: Life): (names: Renaming, held: readonly RaftMessage[][]) => string {
  const { state } = life.core;
  const { log } = state;
  const entries = logOf(log);
  const pending = [...life.pending];
  const { node, disk } = life;
  const { role, term, vote, leader, termStartIndex, readSeq } = state;
  const marks = [log.commit, log.applied, log.handed, log.stable, log.issued];
  const votes = [...state.votes];
  const progress = [...state.progress].map(([id, of]) => {
    const { match, next, isProbeSent, sentCommit } = of;
    return [id, `${match},${next},${of.state},${isProbeSent},${sentCommit},${of.readSeq}`] as const;
  });
  const reads = [
    state.readBatches.map(({ seq, index }) => [seq, index]),
    state.waitingReads.length,
  ];
  const { voters, outgoing } = state.configuration;
  return (names, held) =>
    [
      renamed(node, names),
      role,
      `${term},${peer(vote, names)},${peer(leader, names)},${role === 'leader' ? termStartIndex : 0}`,
      marks.join(),
      entriesOf(entries, names),
      votes
        .map(([id, isGranted]) => `${peer(id, names)}${isGranted}`)
        .sort()
        .join(),
      progress
        .map(([id, of]) => `${peer(id, names)}:${of}`)
        .sort()
        .join(' '),
      `${readSeq} ${JSON.stringify(reads)}`,
      `${peers(voters, names)}/${peers(outgoing, names)}`,
      hard(disk.hardState, names),
      entriesOf(disk.entries, names),
      pending
        .map((write) => {
          const state = write.hardState === undefined ? '' : hard(write.hardState, names);
          return `${write.truncateFrom} ${entriesOf(write.entries, names)} ${state}`;
        })
        .join(';'),
      held
        .map((messages) =>
          messages
            .map((message) => nameOfMessage(message, names))
            .sort()
            .join('+'),
        )
        .join(';'),
    ].join('|');
}
