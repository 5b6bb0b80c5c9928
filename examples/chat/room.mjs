// The room: knows the guests by their nodes, and tells everybody what anybody says.
//
//   node room.mjs [PORT]
import { actor } from 'callboard/actors';
import { Guest, HOST, ROOM_NODE, Room, SLOT, takePart } from './chat.mjs';

const { system, links, port } = await takePart(ROOM_NODE, Number(process.argv[2] ?? 0));

const RoomActor = actor(Room, (ctx) => {
  const guests = new Map();
  const toAll = (text) => {
    for (const { ref } of guests.values()) ref.tell('hear', text);
  };
  const remove = (node) => {
    const guest = guests.get(node);
    if (guest === undefined) return;
    guests.delete(node);
    toAll(`${guest.name} left`);
  };
  ctx.onSignal((signal) => {
    if (signal.type === 'terminated') remove(signal.ref.id.node);
  });
  return {
    join({ node, port, name }) {
      links.setAddress(node, { host: HOST, port });
      const ref = system.wellKnown(Guest, { node, thread: 0, slot: SLOT });
      guests.set(node, { ref, name });
      ctx.watch(ref);
      // Who is gone for good is for the application to say. Here a link that broke is a guest who left.
      const stopListening = links.onEpochEnd(node, 0, () => {
        stopListening();
        links.nodeLost(node);
      });
      toAll(`${name} is here`);
    },
    say({ node, text }) {
      const guest = guests.get(node);
      if (guest !== undefined) toAll(`${guest.name}: ${text}`);
    },
    leave: remove,
  };
});

system.spawnWellKnown(SLOT, 'room', RoomActor, undefined);
console.log(`the room is at port ${port}`);
