// The whole offer of the broker room to the protocols: the destinations and who leads them, the way to a
// log's host, groups and their cursors, and the rules for names and settings. Protocols see the cluster
// only through here.
import type { Ref } from '../actors/ref.ts';
import type { LogHostOps, LogView, MetadataService, MetadataView } from '../cluster/ports.ts';

export type {
  AdvancedInput,
  AnsweredInput,
  AppendedInput,
  AppendInput,
  AppendLevel,
  AwaitInput,
  CommandInput,
  CreateDestination,
  DestinationView,
  EndpointView,
  FetchedInput,
  FetchInput,
  FetchSlice,
  LocatedInput,
  LogHostOps,
  LogRepliesOps,
  LogResult,
  LogView,
  MetadataResult,
  MetadataService,
  MetadataView,
  NodeView,
  OffsetInput,
  OffsetQuery,
} from '../cluster/ports.ts';
export { LogHostProtocol, LogRepliesProtocol } from '../cluster/ports.ts';
export * from './cursor/answers.ts';
export { groupPartition } from './cursor/behavior.ts';
export * from './cursor/commands.ts';
export { refuseDestinationName } from './destination/name.ts';
export { PARTITION_KIND } from './destination/partition.ts';
export {
  MIN_INSYNC_REPLICAS,
  messageBytesMax,
  refuseSettings,
  SETTINGS,
  type Setting,
  settingOf,
} from './destination/settings.ts';

/** What the operator has decided about destinations. */
export interface BrokerSettings {
  /** A destination that is asked for by name is made. */
  readonly autoCreate: boolean;
  /** Logs of a destination that is made without a number. */
  readonly defaultPartitions: number;
}

/** Everything a protocol's actors are given of the broker on their thread. */
export interface BrokerPorts {
  readonly view: MetadataView;
  readonly metadata: MetadataService;
  readonly settings: BrokerSettings;
  /** The host of a log on this node, on whatever shard; undefined if this node has no replica of it. */
  logHost(logId: number): Ref<LogHostOps> | undefined;
  /** The log that coordinates a group; undefined until the group logs are made. */
  coordinatorLog(group: string): LogView | undefined;
  /** All group logs, in order of partition. */
  groupLogs(): readonly LogView[];
}
