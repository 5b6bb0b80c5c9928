// A guest: prints what it hears, and says every line of its input.
//
//   node guest.mjs PORT NAME
import { createInterface } from 'node:readline';
import { actor } from 'callboard/actors';
import { Guest, HOST, ROOM_NODE, Room, SLOT, takePart } from './chat.mjs';

const [, , roomPort, name] = process.argv;
const within = { timeoutMs: 10_000 };
// Nodes have different numbers; process ids do on one machine.
const node = ROOM_NODE + process.pid;
const { system, links, port, stop } = await takePart(node, 0);

const GuestActor = actor(Guest, () => ({ hear: (text) => console.log(text) }));
system.spawnWellKnown(SLOT, 'guest', GuestActor, undefined);

links.setAddress(ROOM_NODE, { host: HOST, port: Number(roomPort) });
const room = system.wellKnown(Room, { node: ROOM_NODE, thread: 0, slot: SLOT });
try {
  await room.ask('join', { node, port, name }, within);
  for await (const text of createInterface({ input: process.stdin })) {
    room.tell('say', { node, text });
  }
  await room.ask('leave', node, within);
} catch (error) {
  console.error(`the room at port ${roomPort} does not answer: ${error.message}`);
  process.exitCode = 1;
}
await stop();
