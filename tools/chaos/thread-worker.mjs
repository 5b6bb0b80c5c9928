// A worker of `threads.mjs`.
import { createActorEnvironment, joinThreadGroup } from '../../dist/doors/actors.js';
import { Peer, PeerActor, SLOT } from './thread-peer.mjs';

const member = joinThreadGroup(createActorEnvironment(), { protocols: [Peer] });
const { system, app } = member;
member.system.spawnWellKnown(SLOT, 'peer', PeerActor, { system, ...app });
member.ready();
