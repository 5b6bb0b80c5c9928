// The other thread of Callboard's cases.
import { createActorEnvironment, joinThreadGroup } from '../../dist/doors/actors.js';
import { Sink, SinkActor } from './ours.mjs';

const member = joinThreadGroup(createActorEnvironment(), { protocols: [Sink] });
member.system.spawnWellKnown(1, 'sink', SinkActor, undefined);
member.ready();
