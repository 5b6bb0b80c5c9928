// What a room and its guests tell each other, and how a process takes part in the chat.
import {
  ask,
  createActorEnvironment,
  createSystem,
  Links,
  none,
  protocol,
  record,
  tell,
  u32,
  utf8,
} from 'callboard/actors';

export const HOST = '127.0.0.1';
/** The room is node 1, and on every node slot 1 holds the actor that others talk to. */
export const ROOM_NODE = 1;
export const SLOT = 1;

export const Room = protocol('room', 1, {
  join: ask(record({ node: u32, port: u32, name: utf8 }), none),
  say: tell(record({ node: u32, text: utf8 })),
  leave: ask(u32, none),
});
export const Guest = protocol('guest', 1, { hear: tell(utf8) });

/** A system that others can reach at a port of this machine. */
export async function takePart(node, port) {
  const env = createActorEnvironment();
  const system = createSystem(env, { name: 'chat', node, protocols: [Room, Guest] });
  const links = new Links(system, { clusterId: 'chat', token: 'only for this machine' });
  const accept = (connection) => links.accept(connection);
  const listener = await env.net.listen({ host: HOST, port }, accept);
  const stop = async () => {
    listener.close();
    links.close();
    await system.shutdown({ timeoutMs: 10_000 });
  };
  return { system, links, port: listener.address.port, stop };
}
