// The whole offer of the broker room to the protocols: the destinations and who leads them, the way to a
// log's host, groups and their cursors, and the rules for names and settings. Protocols see the cluster
// only through here.
import type { Ref } from '../actors/ref.ts';
import type {
  LogHostOps,
  LogView,
  MetadataResult,
  MetadataService,
  MetadataView,
} from '../cluster/ports.ts';
import type { QueueAccess } from './access/queue-api.ts';
import { groupPartition } from './cursor/behavior.ts';
import { GROUP_DESTINATION, GROUP_KIND, GROUP_LOGS } from './destination/kinds.ts';
import { type LogRules, LogRulesTable } from './destination/log-rules.ts';
import { withDeclarationRules } from './exchange/declarations.ts';

export type {
  AccessVerb,
  AccessView,
  AdvancedInput,
  AnsweredInput,
  AppendedInput,
  AppendInput,
  AppendLevel,
  AwaitInput,
  BindingView,
  CommandInput,
  ComparedArgument,
  ConfigureDestination,
  CreateDestination,
  DeclareQueue,
  DestinationView,
  Difference,
  Durability,
  EndpointView,
  ExchangeView,
  FetchedInput,
  FetchInput,
  FetchSlice,
  FindInput,
  FoundInput,
  LocatedInput,
  LogHostOps,
  LogRepliesOps,
  LogResult,
  LogView,
  MetadataResult,
  MetadataService,
  MetadataView,
  NamesView,
  NodeView,
  OffsetInput,
  OffsetQuery,
  QueueOwner,
  QueueView,
  RouteChange,
  RouteListener,
  TrimInput,
} from '../cluster/ports.ts';
export {
  DEFAULT_USER,
  DEFAULT_VHOST,
  DURABILITIES,
  defaultMinInsync,
  LogHostProtocol,
  LogRepliesProtocol,
} from '../cluster/ports.ts';
export type { Lookup, LookupKind } from '../records/lookups.ts';
export * from './cursor/answers.ts';
export { groupPartition } from './cursor/behavior.ts';
export * from './cursor/commands.ts';
export { PARTITION_KIND } from './destination/kinds.ts';
export type { LogRules } from './destination/log-rules.ts';
export { refuseDestinationName } from './destination/name.ts';
export {
  isCompacted,
  isDeleting,
  messageBytesMax,
  nameSpread,
  refuseSettings,
  SETTINGS,
  type Setting,
  settingNamed,
} from './destination/settings.ts';
export {
  encodeHeaderMatch,
  HeaderForm,
  type HeaderMatchMode,
} from './exchange/header-form.ts';
export { RouteInput } from './exchange/route-input.ts';
export { type RouteSource, RoutingTable } from './exchange/routing-table.ts';
export { TurnBatches } from './exchange/turn-batches.ts';
export { refuseKeyless } from './view/admission.ts';
export * from './view/answers.ts';
export * from './view/commands.ts';
export { Runs } from './view/runs.ts';

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
  /** Publishing through exchanges, and consuming from queues. */
  readonly queues: QueueAccess;
  /** The destination whose logs hold groups and cursors. */
  readonly groupDestination: string;
  /**
   * The host of a log: on the shard of this node that has it, else on its leader; undefined if there is
   * neither.
   */
  logHost(logId: number): Ref<LogHostOps> | undefined;
  /** What a log takes now. */
  logRules(logId: number): LogRules;
  /** The log that coordinates a group; undefined until the group logs are made. */
  coordinatorLog(group: string): LogView | undefined;
  /** All group logs, in order of partition. */
  groupLogs(): readonly LogView[];
  /** Makes the group logs unless they are there. */
  createGroupLogs(timeoutMs: number): Promise<MetadataResult>;
}

/** What the assembly has at hand to make the ports of a thread. */
export type BrokerParts = Pick<
  BrokerPorts,
  'view' | 'metadata' | 'settings' | 'queues' | 'logHost'
>;

export function createBrokerPorts(parts: BrokerParts): BrokerPorts {
  const { view } = parts;
  const metadata = withDeclarationRules(parts.metadata);
  const rules = new LogRulesTable(view);
  const groupLogs = (): readonly LogView[] => view.destination(GROUP_DESTINATION)?.logs ?? [];
  return {
    view,
    metadata,
    settings: parts.settings,
    queues: parts.queues,
    groupDestination: GROUP_DESTINATION,
    logHost: (logId) => parts.logHost(logId),
    logRules: (logId) => rules.of(logId),
    groupLogs,
    coordinatorLog: (group) => {
      const logs = groupLogs();
      return logs.length === 0 ? undefined : logs[groupPartition(group, logs.length)];
    },
    createGroupLogs: (timeoutMs) => metadata.create(GROUP_LOGS_WANTED, timeoutMs),
  };
}

const GROUP_LOGS_WANTED = {
  name: GROUP_DESTINATION,
  partitions: GROUP_LOGS,
  replicationFactor: -1,
  assignments: [],
  config: [],
  isInternal: true,
  kind: GROUP_KIND,
  validateOnly: false,
} as const;

export { HostCalls, type HostOp, type HostRef } from './access/host-calls.ts';
export type {
  ConsumeOptions,
  ConsumerEnd,
  DeliveredMessage,
  Publisher,
  PublishOutcome,
  PublishSink,
  QueueAccess,
  QueueReader,
  QueueStats,
  ReaderSink,
  RecordParts,
  RouteFields,
  Routes,
  StreamStart,
  VhostAccess,
} from './access/queue-api.ts';
export type {
  NewRecord,
  Outcome,
  ReadAnswer,
  ReadFrom,
  RecordAccess,
} from './access/record-access.ts';
export type { FoundRecords, RecordSearch } from './access/record-search.ts';
export type { ReadRecord } from './access/shown-records.ts';
export type {
  StreamAccess,
  StreamLease,
  StreamMessage,
  StreamVerdict,
  StreamWish,
} from './access/stream-api.ts';
