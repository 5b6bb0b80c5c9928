// What the tests of lent memory and their worker say to each other: the one is TypeScript from the sources, the other
// what was compiled of them, so that both have it from here.
import { ask, lentAsk, lentTell, protocol, tell } from '../../../dist/actors/index.js';
import { bytes, none, record, u32 } from '../../../dist/codec/index.js';

export const Receiver = protocol('receiver', 1, {
  take: tell(bytes),
  lend: lentTell(bytes),
  lendAsk: lentAsk(bytes, u32),
  poke: tell(none),
});
export const Lender = protocol('lender', 1, {
  send: ask(record({ size: u32, count: u32, isLent: u32 }), u32),
  question: ask(u32, u32),
  sendAll: ask(record({ size: u32, count: u32, isLent: u32 }), none),
  usedBytes: ask(none, u32),
  large: ask(u32, bytes),
  hoard: lentTell(bytes),
  die: tell(none),
});
