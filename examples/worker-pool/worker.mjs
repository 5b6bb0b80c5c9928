// What every worker thread runs: it joins the group and waits for actors.
import { createActorEnvironment, joinThreadGroup } from 'callboard/actors';
import { Counter, CounterActor } from './counter.mjs';

joinThreadGroup(createActorEnvironment(), {
  protocols: [Counter],
  manifest: { CounterActor },
}).ready();
