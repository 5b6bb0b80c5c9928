// The reading thread of stream-bytes.
import { joinThreadGroup } from '../../dist/actors/threads/member.js';
import { createNodeEnvironment } from '../../dist/env/node/environment.js';
import { StreamSink, StreamSinkActor } from '../../dist-bench/lib/stream-sink.js';

const env = createNodeEnvironment({ logLevel: 'warn' });
const member = joinThreadGroup(env, { protocols: [StreamSink] });
member.system.spawnWellKnown(1, 'sink', StreamSinkActor, undefined);
member.ready();
