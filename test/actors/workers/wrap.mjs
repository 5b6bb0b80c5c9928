// The worker of the tests over index wraps: sends bodies of every size to another thread, and checks what comes.
import { actor } from '../../../dist/actors/index.js';
import { joinThreadGroup } from '../../../dist/actors/threads/member.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';
import { PeerOfAllSizes, peerOfAllSizes } from './all-sizes.mjs';

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const member = joinThreadGroup(createNodeEnvironment({ log: quiet }), {
  protocols: [PeerOfAllSizes],
});
const { setup, options } = peerOfAllSizes(member.system);
member.system.spawnWellKnown(10, 'peer', actor(PeerOfAllSizes, setup, options), undefined);
member.ready();
