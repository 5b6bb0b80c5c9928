// RocketMQ's listener on one shard: the room's service behind a gRPC transport, over the views of groups that
// this shard's consumers use. Loaded when the first client comes (client-door.ts); the transport is the root's.
import { StreamViews } from '../broker/access/stream-views.ts';
import type { GrpcServer } from '../env/grpc.ts';
import { createRocketBroker, handleKeyOf } from '../protocols/rocketmq/grpc/broker.ts';
import { createRocketGrpcService } from '../protocols/rocketmq/grpc/listener.ts';
import type { RocketListener, RocketOptions } from './client-protocols.ts';

/** Twice the largest body, so that a whole message with everything around it fits, and a few small ones. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;

/** `md5Hex`: the machine's own, if it has one; digests of bodies in upper-case hex. */
export function startRocketListener(
  options: RocketOptions,
  server: GrpcServer,
  md5Hex?: (bytes: Uint8Array) => string,
): RocketListener {
  const { system, log, ports, clusterId, shard, shardIncarnation, otherPorts } = options;
  const { env } = system;
  const { view, metadata, settings, queues } = ports;
  const streams = new StreamViews({
    system,
    view,
    shard,
    shardIncarnation,
    leaderHost: (logId) => options.leaderHost(logId),
  });
  const broker = createRocketBroker({ view, metadata, settings, streams, queues });
  const handleKey = handleKeyOf(clusterId);
  const service = createRocketGrpcService({ env, log, broker, handleKey, otherPorts, md5Hex });
  const listener = server.serve(service, { messageBytesMax: MESSAGE_BYTES_MAX });
  return {
    counters: listener.counters,
    accept: (connection) => listener.accept(connection),
    linkEnded: (node, thread) => streams.linkEnded(node, thread),
    close() {
      service.close();
      listener.close();
    },
  };
}
