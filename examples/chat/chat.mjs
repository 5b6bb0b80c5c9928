// A chat over processes: one is the room, the others are guests. Actors of all processes talk by refs; the links
// between the processes open with the first message, and a guest that leaves is heard of.
//
//   node examples/chat/chat.mjs room                 prints its port
//   node examples/chat/chat.mjs guest PORT ada       says every line of its input
import { createInterface } from 'node:readline';
import {
  actor,
  createActorEnvironment,
  createSystem,
  Links,
  protocol,
  record,
  tell,
  u32,
  utf8,
} from 'callboard/actors';

const HOST = '127.0.0.1';
const ROOM = 1;
const SLOT = 1;
const Room = protocol('room', 1, {
  join: tell(record({ node: u32, port: u32, name: utf8 })),
  say: tell(record({ node: u32, text: utf8 })),
  leave: tell(u32),
});
const Guest = protocol('guest', 1, { hear: tell(utf8) });

const nothing = () => undefined;
const log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: console.error,
  child: () => log,
};
const env = createActorEnvironment({ log });
const isRoom = process.argv[2] === 'room';
const system = createSystem(env, {
  name: 'chat',
  node: isRoom ? ROOM : 2 + env.random.below(1_000_000),
  protocols: [Room, Guest],
});
const links = new Links(system, { clusterId: 'chat', token: 'only for this machine' });
const listener = await env.net.listen({ host: HOST, port: 0 }, (connection) =>
  links.accept(connection),
);

/** Knows the guests by their nodes, and tells everybody what anybody says. */
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

const GuestActor = actor(Guest, () => ({ hear: (text) => console.log(text) }));

if (isRoom) {
  system.spawnWellKnown(SLOT, 'room', RoomActor, undefined);
  console.log(`the room is at port ${listener.address.port}`);
} else {
  const [, , , port = '0', name = 'somebody'] = process.argv;
  const { node } = system.place;
  system.spawnWellKnown(SLOT, 'guest', GuestActor, undefined);
  links.setAddress(ROOM, { host: HOST, port: Number(port) });
  const room = system.wellKnown(Room, { node: ROOM, thread: 0, slot: SLOT });
  room.tell('join', { node, port: listener.address.port, name });
  const input = createInterface({ input: process.stdin });
  input.on('line', (text) => room.tell('say', { node, text }));
  input.on('close', async () => {
    room.tell('leave', node);
    await new Promise((resolve) => setTimeout(resolve, 100));
    listener.close();
    links.close();
    await system.shutdown({ timeoutMs: 1_000 });
  });
}
