// What happens to a cluster, and for how long: dealt from a seed, one entry after the other, without an end. Pure,
// so that a seed is a run's faults again, whatever the cluster makes of them.

/** Least and most milliseconds of each kind of fault. */
const LENGTHS_MS = {
  /** SIGKILL; it begins again afterwards. */
  kill: [300, 4_000],
  /** SIGSTOP, then SIGCONT: shorter and longer than what fences a node. */
  pause: [300, 12_000],
  /** Nothing arrives from one node at one other. */
  cut: [1_500, 12_000],
  /** Nothing that a node says arrives. */
  mute: [1_500, 12_000],
  /** Nothing arrives at a node. */
  deafen: [1_500, 12_000],
  /** Two nodes do not hear each other; the third hears both. */
  bridge: [1_500, 12_000],
  /** A node alone. */
  isolate: [1_500, 12_000],
  /** Not a byte is free on a node's disk. */
  fill: [2_000, 8_000],
  /** SIGKILL of all nodes at once. */
  killAll: [300, 1_500],
};
export const KINDS = Object.keys(LENGTHS_MS);
/** What may happen to another node while the first fault lasts. */
const SECONDS = ['kill', 'pause', 'mute', 'deafen'];
const SECOND_ONE_IN = 4;
const CALM_MS = [1_500, 4_000];

/** mulberry32: whole numbers below a bound, the same from the same seed. */
export function chance(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

/**
 * Yields entries { calmMs, parts }: how long nothing happens first, and one or two faults { kind, node, other?,
 * afterMs, lengthMs, isReset }. `other` is the receiving node of a cut, or the other side of a bridge; `isReset`:
 * connections that were cut are reset at the end instead of going on where they stood.
 */
export function* schedule({ seed, nodes, kinds = KINDS }) {
  const below = chance(seed);
  const within = ([least, most]) => least + below(most - least + 1);
  const part = (kind, node, afterMs) => {
    const other = 1 + ((node + below(nodes - 1)) % nodes);
    const isTwo = kind === 'cut' || kind === 'bridge';
    const isReset = below(2) === 0;
    const lengthMs = within(LENGTHS_MS[kind]);
    return { kind, node, ...(isTwo ? { other } : {}), afterMs, lengthMs, isReset };
  };
  for (let deck = []; ; ) {
    if (deck.length === 0) deck = [...kinds];
    // Every kind once before any comes twice.
    const [kind] = deck.splice(below(deck.length), 1);
    const first = part(kind, 1 + below(nodes), 0);
    const parts = [first];
    if (kind !== 'killAll' && below(SECOND_ONE_IN) === 0) {
      const node = 1 + ((first.node + below(nodes - 1)) % nodes);
      parts.push(part(SECONDS[below(SECONDS.length)], node, below(first.lengthMs)));
    }
    yield { calmMs: within(CALM_MS), parts };
  }
}

export function partText({ kind, node, other, lengthMs, isReset }) {
  const seconds = `${(lengthMs / 1000).toFixed(1)} s`;
  const end = isReset ? ', then reset' : '';
  if (kind === 'cut') return `cut ${node} -> ${other} ${seconds}${end}`;
  if (kind === 'bridge') return `bridge ${node} | ${other} ${seconds}${end}`;
  if (kind === 'killAll') return `kill all ${seconds}`;
  const isCut = kind === 'mute' || kind === 'deafen' || kind === 'isolate';
  return `${kind} ${node} ${seconds}${isCut ? end : ''}`;
}
