// What a second `dev` on a folder asked for against what the first one runs. Options that were not given agree
// with everything; one that disagrees must be refused, because nothing here can honour it.
import type { DevOptions } from '../dev.ts';
import { durationText } from '../text.ts';
import type { RunState } from './folder.ts';
import { BASE_PORT } from './ports.ts';
import { rolesText } from './roles.ts';

/** The first option that the running cluster does not have, as a sentence, or undefined. */
export function disagreement(
  asked: DevOptions,
  restartAfterMs: number | undefined,
  state: RunState,
): string | undefined {
  const nodes = state.nodes.length;
  const first = state.nodes[0];
  const kafkaPort = portOf(first?.kafka ?? '');
  if (asked.nodes !== undefined && asked.nodes !== nodes) {
    return `--nodes ${asked.nodes}, but it runs ${nodes}`;
  }
  const ram = state.nodes.filter(({ role }) => role === 'ram').map(({ id }) => id);
  if (asked.ram !== undefined && asked.ram.join() !== ram.join()) {
    return `${rolesText({ ram: asked.ram })}, but it runs with ${rolesText({ ram })}`;
  }
  if (asked.memory === true && !state.isMemory) return '--memory, but it keeps its data on disk';
  if (asked.inProcess === true && !state.isInProcess) {
    return '--in-process, but its nodes are processes';
  }
  if (asked.shards !== undefined && asked.shards !== state.shards) {
    return `--shards ${asked.shards}, but each node has ${state.shards}`;
  }
  if (asked.host !== undefined && asked.host !== state.host) {
    return `--host ${asked.host}, but it listens on ${state.host}`;
  }
  if (asked.queueReplicas !== undefined && asked.queueReplicas !== state.queueReplicas) {
    const has = state.queueReplicas ?? 'as many as topics';
    return `--queue-replicas ${asked.queueReplicas}, but its queues have ${has}`;
  }
  if (asked.profile !== undefined && asked.profile !== state.profile) {
    const how = state.profile === null ? 'without one' : `with ${state.profile}`;
    return `--profile ${asked.profile}, but it was started ${how}`;
  }
  if (asked.restart !== undefined && restartAfterMs !== (state.restartAfterMs ?? undefined)) {
    const is = state.restartAfterMs === null ? 'never' : durationText(state.restartAfterMs);
    return `--restart ${asked.restart}, but with it that is ${is}`;
  }
  const wanted = asked.kafkaPort ?? asked.basePort ?? 0;
  if (wanted !== 0 && wanted !== kafkaPort) return `port ${wanted}, but it is on ${kafkaPort}`;
  const httpPort = portOf(first?.http ?? '');
  if ((asked.httpPort ?? 0) !== 0 && asked.httpPort !== httpPort) {
    return `--http-port ${asked.httpPort}, but it is on ${httpPort}`;
  }
  const amqpPort = portOf(first?.amqp ?? '');
  if ((asked.amqpPort ?? 0) !== 0 && asked.amqpPort !== amqpPort) {
    return `--amqp-port ${asked.amqpPort}, but it is on ${amqpPort}`;
  }
  const rocketmqPort = portOf(first?.rocketmq ?? '');
  if ((asked.rocketmqPort ?? 0) !== 0 && asked.rocketmqPort !== rocketmqPort) {
    return `--rocketmq-port ${asked.rocketmqPort}, but it is on ${rocketmqPort}`;
  }
  const isOwnChoice = (asked.kafkaPort ?? asked.basePort) !== undefined;
  if (asked.strictPorts === true && !isOwnChoice && kafkaPort !== BASE_PORT) {
    return `--strict-ports, but it has moved to ${kafkaPort}`;
  }
  return undefined;
}

/** The number behind the last colon. */
function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
