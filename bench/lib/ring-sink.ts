// What the receiving thread of the benches over two threads understands.
import { ask, lentTell, protocol, tell } from '../../dist/actors/index.js';
import { bytes, none, u32 } from '../../dist/codec/index.js';

export const Sink = protocol('sink', 1, {
  take: tell(bytes),
  lend: lentTell(bytes),
  taken: ask(none, u32),
});
