// A shard thread whose log host takes everything and answers nothing, or which has no log host at all.
// Plain JavaScript over dist, as workers load compiled code.
import { actor } from '../../../dist/actors/actor.js';
import { joinThreadGroup } from '../../../dist/actors/threads/member.js';
import { PROTOCOLS } from '../../../dist/assembly/protocols.js';
import { LogHostProtocol } from '../../../dist/cluster/ports.js';
import { SLOT_LOG_HOST } from '../../../dist/cluster/slots.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const member = joinThreadGroup(createNodeEnvironment({ log: quiet }), { protocols: PROTOCOLS });

const MuteHost = actor(LogHostProtocol, () => {
  const take = ({ token }) => member.post({ taken: token });
  return {
    append: take,
    fetch: take,
    await: take,
    command: take,
    locate: take,
    trim: take,
    status: () => [],
    // Nobody is answered: the asker's own time ends it.
    find: () => new Promise(nothing),
  };
});

if (member.app.hasHost) member.system.spawnWellKnown(SLOT_LOG_HOST, 'logs', MuteHost, undefined);
member.ready();
