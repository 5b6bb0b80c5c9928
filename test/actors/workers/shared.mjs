// The other thread of the tests of the shared-memory helpers, by `workerData.mode`. Plain JavaScript over the
// built door, as an application has it.
import { parentPort, workerData } from 'node:worker_threads';
import {
  eachRecord,
  Heartbeat,
  PortBell,
  RingReader,
  SlabReader,
  WaitBell,
} from '../../../dist/doors/actors-shared.js';

const { mode, ring, slab, words, roomPort, bellPort, count } = workerData;

let seed = 7;
/** Below `limit`; the same in every run. */
function random(limit) {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return seed % limit;
}

/** Does something else for a while, now and then. */
function stall() {
  if (random(50) !== 0) return;
  let busy = 0;
  for (let i = random(200_000); i > 0; i -= 1) busy ^= i;
  Atomics.store(words, 7, busy);
}

/** Calls `visit` for every record until `count` have come; sleeps by `bell` when there are none. */
function consume(visit, done) {
  const reader = new RingReader(ring);
  const room = new PortBell(roomPort);
  let taken = 0;
  const drain = () => {
    reader.wake();
    for (;;) {
      const chunk = reader.take(1 + random(64));
      if (chunk !== undefined) {
        eachRecord(chunk, (content, tag) => visit(content, tag, taken++));
        if (reader.takeRoomWish()) room.ring();
        stall();
      } else if (taken === count) return true;
      else if (reader.sleep()) return false;
    }
  };
  if (bellPort !== undefined) {
    const bell = new PortBell(bellPort);
    const look = () => {
      if (!drain()) return;
      bell.close();
      done(room);
    };
    bell.onRing(look);
    look();
    return;
  }
  const bell = new WaitBell(words, 0);
  while (!drain()) bell.wait();
  done(room);
}

if (mode === 'ring') {
  let wrong = 0;
  let bytes = 0;
  consume(
    (content, tag, number) => {
      if (tag !== (number & 0xffff)) wrong += 1;
      for (const byte of content) if (byte !== (number & 0xff)) wrong += 1;
      bytes += content.length;
    },
    () => parentPort.postMessage({ wrong, bytes }),
  );
} else if (mode === 'slab') {
  const reader = new SlabReader(slab);
  const kept = [];
  let wrong = 0;
  const look = ({ position, length, number }) => {
    const view = reader.bytes.subarray(position, position + length);
    for (const byte of view) if (byte !== (number & 0xff)) wrong += 1;
  };
  consume(
    (content, _tag, number) => {
      const view = new DataView(content.buffer, content.byteOffset);
      const run = { position: view.getUint32(0, true), length: view.getUint32(4, true), number };
      look(run);
      if (random(3) === 0) {
        reader.retain(run.position);
        kept.push(run);
      }
      let isDue = reader.release(run.position);
      while (kept.length > (number === count - 1 ? 0 : 2)) {
        const old = kept.splice(random(kept.length), 1)[0];
        look(old);
        if (reader.release(old.position)) isDue = true;
      }
      if (isDue) new PortBell(roomPort).ring();
    },
    () => parentPort.postMessage({ wrong }),
  );
} else if (mode === 'heartbeat') {
  const heart = new Heartbeat(words, 1);
  const bell = new WaitBell(words, 0);
  for (let step = 0; step < count; step += 1) {
    if (step % 3 === 2) heart.rest();
    else heart.beat();
    parentPort.postMessage(step);
    bell.wait();
  }
  // At work, and stuck.
  heart.beat();
  parentPort.postMessage('stuck');
  Atomics.wait(words, 2, 0);
}
