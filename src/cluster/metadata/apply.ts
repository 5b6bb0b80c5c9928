// The replicated metadata state machine: (image, command) -> changes. Total and deterministic: no
// clock, no randomness, no configuration outside the image; what cannot be done is an outcome, never
// a throw. Every node applies the same committed commands in the same order.
import { unreachable } from '../../std/assert.ts';
import {
  deletePermission,
  deleteUser,
  deleteVhost,
  putPermission,
  putUser,
  putVhost,
} from './apply-access.ts';
import { createActor, deleteActor } from './apply-actors.ts';
import {
  addPartitions,
  configureDestination,
  createDestination,
  deleteDestination,
} from './apply-destinations.ts';
import { bind, declareExchange, deleteExchange, unbind } from './apply-exchanges.ts';
import { deregisterNode, drainNode } from './apply-leaving.ts';
import {
  allowUnclean,
  electUnclean,
  moveLeaders,
  preferLeaders,
  proposeSafeSet,
  resignLog,
  returnLeaders,
} from './apply-logs.ts';
import {
  fenceNode,
  loseReplicas,
  registerNode,
  resignNode,
  restartShard,
  unfenceNode,
} from './apply-nodes.ts';
import { deletePolicy, putPolicy } from './apply-policies.ts';
import { declareQueue, deleteQueue, releaseOwner } from './apply-queues.ts';
import { reassignLog } from './apply-reassignments.ts';
import { Applying, OK, refused } from './applying.ts';
import type {
  InitCluster,
  MetadataChange,
  MetadataCommand,
  Outcome,
  SetSetting,
} from './commands.ts';
import type { MetadataImage } from './image.ts';

export interface Applied {
  readonly outcome: Outcome;
  /** Empty when refused. */
  readonly changes: readonly MetadataChange[];
}

/** Applies the entry at `index` of the metadata log. */
export function applyCommand(
  image: MetadataImage,
  command: MetadataCommand,
  index: number,
): Applied {
  const applying = new Applying(image, index);
  const outcome = dispatch(applying, command);
  image.version = index;
  return { outcome, changes: applying.changes };
}

function dispatch(applying: Applying, command: MetadataCommand): Outcome {
  switch (command.kind) {
    case 'init-cluster':
      return initCluster(applying, command);
    case 'register-node':
    case 'register-node-with-kinds':
    case 'register-node-as':
      return registerNode(applying, command);
    case 'unfence-node':
      return unfenceNode(applying, command);
    case 'fence-node':
      return fenceNode(applying, command);
    case 'resign-node':
      return resignNode(applying, command);
    case 'deregister-node':
      return deregisterNode(applying, command);
    case 'drain-node':
      return drainNode(applying, command);
    case 'reassign-log':
    case 'move-log':
      return reassignLog(applying, command);
    case 'restart-shard':
      return restartShard(applying, command);
    case 'create-destination':
      return createDestination(applying, command);
    case 'create-actor':
      return createActor(applying, command);
    case 'delete-actor':
      return deleteActor(applying, command);
    case 'delete-destination':
      return deleteDestination(applying, command);
    case 'add-partitions':
      return addPartitions(applying, command);
    case 'configure-destination':
      return configureDestination(applying, command);
    case 'propose-safe-set':
      return proposeSafeSet(applying, command);
    case 'prefer-leaders':
      return preferLeaders(applying, command);
    case 'return-leaders':
      return returnLeaders(applying, command);
    case 'move-leaders':
      return moveLeaders(applying, command);
    case 'resign-log':
      return resignLog(applying, command);
    case 'lose-replicas':
      return loseReplicas(applying, command);
    case 'elect-unclean':
      return electUnclean(applying, command);
    case 'allow-unclean':
      return allowUnclean(applying, command);
    case 'set-setting':
      return setSetting(applying, command);
    case 'declare-exchange':
      return declareExchange(applying, command);
    case 'delete-exchange':
      return deleteExchange(applying, command);
    case 'bind':
      return bind(applying, command);
    case 'unbind':
      return unbind(applying, command);
    case 'declare-queue':
      return declareQueue(applying, command);
    case 'delete-queue':
      return deleteQueue(applying, command);
    case 'put-policy':
      return putPolicy(applying, command);
    case 'delete-policy':
      return deletePolicy(applying, command);
    case 'put-user':
      return putUser(applying, command);
    case 'delete-user':
      return deleteUser(applying, command);
    case 'put-vhost':
      return putVhost(applying, command);
    case 'delete-vhost':
      return deleteVhost(applying, command);
    case 'put-permission':
      return putPermission(applying, command);
    case 'delete-permission':
      return deletePermission(applying, command);
    case 'release-owner':
      return releaseOwner(applying, command);
    default:
      return unreachable(command);
  }
}

function initCluster(applying: Applying, command: InitCluster): Outcome {
  const { image } = applying;
  if (image.clusterId !== '') {
    return refused('already-initialized', `this is cluster ${image.clusterId}`);
  }
  if (command.clusterId === '') return refused('malformed', 'a cluster id is not empty');
  image.clusterId = command.clusterId;
  image.defaults = command.defaults;
  applying.changes.push({ kind: 'cluster-initialized' });
  return OK;
}

function setSetting(applying: Applying, command: SetSetting): Outcome {
  applying.image.putSetting(command.key, command.value);
  applying.changes.push({ kind: 'setting-changed', key: command.key });
  return OK;
}
