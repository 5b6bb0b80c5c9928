// The worker of the inspection tests: an actor that works, fails, is slow and stands still when it is told to.
// Plain JavaScript over dist, as workers load compiled code.
import { actor, ask, protocol, tell } from '../../../dist/actors/index.js';
import { joinThreadGroup } from '../../../dist/actors/threads/member.js';
import { none, u32 } from '../../../dist/codec/index.js';
import { createNodeEnvironment } from '../../../dist/env/node/environment.js';

const Job = protocol('job', 1, {
  work: tell(u32),
  block: tell(u32),
  fail: tell(none),
  done: ask(none, u32),
});

const nothing = () => undefined;
const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => quiet };
const env = createNodeEnvironment({ log: quiet });
const member = joinThreadGroup(env, { protocols: [Job] });

const JobActor = actor(Job, () => {
  let done = 0;
  return {
    work: (n) => {
      done += n;
    },
    block: (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
    fail: () => {
      throw new Error('failed on purpose');
    },
    done: () => done,
  };
});
member.system.spawnWellKnown(10, 'job', JobActor, undefined);
member.ready();
