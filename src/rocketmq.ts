// Composition root of RocketMQ's listener in the real world: the assembly's part over HTTP/2 of this process.
// The roots of nodes and of worker threads load this module when the first client of RocketMQ comes.
import type { StartRocket } from './assembly/client-protocols.ts';
import { startRocketListener } from './assembly/rocket-listener.ts';
import type { NodeEnvironment } from './env/node/environment.ts';
import { createGrpcServer } from './env/node/grpc.ts';
import { createMd5Hex } from './env/node/md5.ts';

export const startRocket: StartRocket = (options) => {
  const { net, clock, timers } = options.system.env as NodeEnvironment;
  const server = createGrpcServer({ net, clock, timers, log: options.log });
  return startRocketListener(options, server, createMd5Hex());
};
