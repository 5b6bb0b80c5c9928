// An actor that sends bodies of every size and checks those that come: in the ring, in the slab, and lent; from
// each sender in order and whole. Used on both sides. Some lent ones are kept for a while and looked at again.
import { ask, lentTell, protocol, tell } from '../../../dist/actors/index.js';
import { bytes, none, record, u32 } from '../../../dist/codec/index.js';

const numbered = record({ from: u32, sequence: u32, body: bytes });
export const PeerOfAllSizes = protocol('peer-of-all-sizes', 1, {
  take: tell(numbered),
  lend: lentTell(numbered),
  send: tell(record({ thread: u32, count: u32 })),
  report: ask(none, record({ taken: u32, wrong: u32, lent: u32, kept: u32 })),
});

/** Lent from here on. */
const LARGE = 40_000;
const KEPT_MAX = 4;

function sizeOf(random) {
  const kind = random.below(100);
  if (kind < 70) return random.below(200);
  if (kind < 95) return random.below(2_100);
  return kind < 98 ? random.below(LARGE) : LARGE + random.below(LARGE);
}

function wrongIn(body, sequence) {
  let wrong = 0;
  for (const byte of body) if (byte !== (sequence & 0xff)) wrong += 1;
  return wrong;
}

export function peerOfAllSizes(system) {
  const setup = (ctx) => {
    const next = [];
    const kept = [];
    let taken = 0;
    let wrong = 0;
    let lent = 0;
    const take = ({ from, sequence, body }) => {
      if (sequence !== (next[from] ?? 0)) wrong += 1;
      next[from] = sequence + 1;
      wrong += wrongIn(body, sequence);
      taken += 1;
    };
    const send = async ({ thread, count }) => {
      const to = system.wellKnown(PeerOfAllSizes, { thread, slot: 10 });
      const from = system.place.thread;
      for (let sequence = 0; sequence < count; sequence += 1) {
        const body = new Uint8Array(sizeOf(ctx.random)).fill(sequence);
        const op = body.length >= LARGE ? 'lend' : 'take';
        while (to.offer(op, { from, sequence, body }) !== 'accepted') await to.ready();
      }
    };
    return {
      take,
      lend(input) {
        take(input);
        if (input.body.buffer instanceof SharedArrayBuffer) lent += 1;
        if (ctx.random.below(2) === 0) kept.push({ ...input, release: ctx.retain() });
        while (kept.length > KEPT_MAX) {
          const { body, sequence, release } = kept.splice(ctx.random.below(kept.length), 1)[0];
          wrong += wrongIn(body, sequence);
          release();
        }
      },
      send: (order) => void send(order),
      report: () => ({ taken, wrong, lent, kept: kept.length }),
    };
  };
  return { setup, options: { mailbox: { capacity: 100_000, overflow: 'reject' } } };
}
