// Changes to destinations as brokers ask for them, made into metadata commands. The same on the main
// thread and on shards: they differ in how a command reaches the service.
import type { Random } from '../../env/environment.ts';
import { encodeUtf8 } from '../../std/utf8.ts';
import { uuidFromDraws } from '../../std/uuid.ts';
import { DEFAULT_VHOST, type PutUserCommand } from '../metadata/access-types.ts';
import { applyCommand } from '../metadata/apply.ts';
import { settingFault } from '../metadata/cluster-settings.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { CreateDestinationCommand, MetadataCommand } from '../metadata/commands.ts';
import { MetadataImage } from '../metadata/image.ts';
import type { BindingRecord } from '../metadata/routing-types.ts';
import { restoreImage, snapshotImage } from '../metadata/snapshot.ts';
import type {
  BindingView,
  ClusterChanges,
  ConfigureDestination,
  CreateDestination,
  DeclareQueue,
  ExchangeView,
  MetadataResult,
  PermissionRecord,
  PolicyRecord,
  QueueOwner,
} from '../ports.ts';
import type { ProposeAnswer } from './metadata-protocol.ts';

/** Says how things shall be. */
type StatedCommand = Extract<
  MetadataCommand,
  { readonly kind: 'declare-queue' | 'declare-exchange' | 'bind' | 'unbind' }
>;

export type SendChange = (command: Uint8Array, timeoutMs: number) => Promise<ProposeAnswer>;

function resultOf(answer: ProposeAnswer): MetadataResult {
  switch (answer.kind) {
    case 'done':
      return { kind: 'ok', version: answer.index };
    case 'refused':
      return refusal(answer);
    case 'not-leader':
    case 'unavailable':
      return { kind: 'unavailable', message: answer.message };
  }
}

function refusal({ code, message, difference }: ProposeAnswer): MetadataResult {
  return { kind: 'refused', code, message, difference };
}

function bindingOf(vhost: string, binding: BindingView): BindingRecord {
  const { source, targetKind, target, routingKey, headerMatch } = binding;
  const ends = { vhost, source, targetKind, target };
  return { ...ends, routingKey, arguments: binding.arguments, headerMatch };
}

export class MetadataChanges implements ClusterChanges {
  readonly #image: MetadataImage;
  readonly #send: SendChange;
  readonly #random: Random;
  /** Of the names. */
  readonly #vhost: string;

  constructor(image: MetadataImage, send: SendChange, random: Random, vhost = DEFAULT_VHOST) {
    this.#image = image;
    this.#send = send;
    this.#random = random;
    this.#vhost = vhost;
  }

  in(vhost: string): MetadataChanges {
    return new MetadataChanges(this.#image, this.#send, this.#random, vhost);
  }

  async create(what: CreateDestination, timeoutMs: number): Promise<MetadataResult> {
    const command = this.#creation(what);
    if (what.validateOnly) return this.#validate(command);
    return this.#change(command, timeoutMs);
  }

  remove(name: string, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'delete-destination', vhost: this.#vhost, name }, timeoutMs);
  }

  reassign(logId: number, replicas: readonly number[], timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'move-log', logId, replicas, partitionEpoch: -1 }, timeoutMs);
  }

  drainNode(node: number, isLeaving: boolean, timeoutMs: number): Promise<MetadataResult> {
    const { incarnation = 0 } = this.#image.node(node) ?? {};
    const drain = { kind: 'drain-node', node, incarnation, isLeaving } as const;
    return this.#change(isLeaving ? { ...drain, handsOver: true } : drain, timeoutMs);
  }

  removeNode(node: number, timeoutMs: number): Promise<MetadataResult> {
    const { incarnation = 0 } = this.#image.node(node) ?? {};
    return this.#change({ kind: 'deregister-node', node, incarnation }, timeoutMs);
  }

  async set(name: string, value: string | undefined, timeoutMs: number): Promise<MetadataResult> {
    const fault = settingFault(name, value);
    if (fault !== undefined) return { kind: 'refused', code: 'invalid-config', message: fault };
    const bytes = value === undefined ? undefined : encodeUtf8(value);
    return this.#change({ kind: 'set-setting', key: name, value: bytes }, timeoutMs);
  }

  preferLeaders(logIds: readonly number[], timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'return-leaders', logIds }, timeoutMs);
  }

  allowUnclean(logId: number, timeoutMs: number): Promise<MetadataResult> {
    const epoch = this.#image.log(logId)?.epoch ?? 0;
    return this.#change({ kind: 'allow-unclean', logId, epoch }, timeoutMs);
  }

  async configure(what: ConfigureDestination, timeoutMs: number): Promise<MetadataResult> {
    const { name, replace, entries, validateOnly } = what;
    const command = { vhost: this.#vhost, name, replace, entries };
    const kind = 'configure-destination';
    if (validateOnly) return this.#validate({ kind, ...command });
    return this.#change({ kind, ...command }, timeoutMs);
  }

  declareExchange(exchange: ExchangeView, timeoutMs: number): Promise<MetadataResult> {
    const { name, type, durable, autoDelete, isInternal, alternate } = exchange;
    const fields = { name, type, durable, autoDelete, isInternal, alternate };
    const command = { ...fields, arguments: exchange.arguments, vhost: this.#vhost };
    return this.#stated({ kind: 'declare-exchange', ...command }, timeoutMs);
  }

  deleteExchange(name: string, ifUnused: boolean, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'delete-exchange', vhost: this.#vhost, name, ifUnused }, timeoutMs);
  }

  bind(binding: BindingView, timeoutMs: number): Promise<MetadataResult> {
    return this.#stated({ kind: 'bind', ...bindingOf(this.#vhost, binding) }, timeoutMs);
  }

  unbind(binding: BindingView, timeoutMs: number): Promise<MetadataResult> {
    return this.#stated({ kind: 'unbind', ...bindingOf(this.#vhost, binding) }, timeoutMs);
  }

  declareQueue(queue: DeclareQueue, timeoutMs: number): Promise<MetadataResult> {
    const { name, node, durable, durability, quorum, autoDelete, owner, compared } = queue;
    const rules = {
      durable,
      autoDelete,
      owner,
      arguments: queue.arguments,
      compared,
      ...(durability === undefined ? {} : { durability }),
      ...(quorum === undefined ? {} : { quorum }),
    };
    const topicId = this.#topicId();
    const { replicationFactor } = queue;
    const place = { vhost: this.#vhost, name, topicId, node, replicationFactor };
    return this.#stated({ kind: 'declare-queue', ...place, ...rules }, timeoutMs);
  }

  deleteQueue(name: string, logId: number, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'delete-queue', vhost: this.#vhost, name, logId }, timeoutMs);
  }

  releaseOwner(owner: QueueOwner, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'release-owner', owner }, timeoutMs);
  }

  putPolicy(policy: PolicyRecord, timeoutMs: number): Promise<MetadataResult> {
    const { vhost, name, pattern, applyTo, priority } = policy;
    const definition = [...policy.definition].sort(([a], [b]) => (a < b ? -1 : 1));
    const fields = { vhost, name, pattern, applyTo, priority, definition };
    return this.#change({ kind: 'put-policy', ...fields }, timeoutMs);
  }

  deletePolicy(vhost: string, name: string, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'delete-policy', vhost, name }, timeoutMs);
  }

  putUser(user: Omit<PutUserCommand, 'kind'>, timeoutMs: number): Promise<MetadataResult> {
    const { name, passwordHash, tags } = user;
    return this.#change({ kind: 'put-user', name, passwordHash, tags }, timeoutMs);
  }

  deleteUser(name: string, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'delete-user', name }, timeoutMs);
  }

  putVhost(name: string, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'put-vhost', name }, timeoutMs);
  }

  deleteVhost(name: string, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'delete-vhost', name }, timeoutMs);
  }

  putPermission(permission: PermissionRecord, timeoutMs: number): Promise<MetadataResult> {
    const { user, vhost, configure, write, read } = permission;
    return this.#change({ kind: 'put-permission', user, vhost, configure, write, read }, timeoutMs);
  }

  deletePermission(user: string, vhost: string, timeoutMs: number): Promise<MetadataResult> {
    return this.#change({ kind: 'delete-permission', user, vhost }, timeoutMs);
  }

  /**
   * What says how things shall be. Without a quorum nothing changes: where they are so already, as
   * far as is known here, that is the answer, and clients that connect again go on. (A change of before that nobody
   * knows the end of may still come after it.)
   */
  async #stated(command: StatedCommand, timeoutMs: number): Promise<MetadataResult> {
    const result = await this.#change(command, timeoutMs);
    return result.kind === 'unavailable' ? (this.#known(command) ?? result) : result;
  }

  #known(command: StatedCommand): MetadataResult | undefined {
    const { version } = this.#image;
    if (!this.#isThere(command)) return undefined;
    // Of what is there nothing is made: the image stays as it is, and need not be copied for every client that asks.
    const { outcome } = applyCommand(this.#image, command, version);
    return outcome.kind === 'ok' ? { kind: 'ok', version } : undefined;
  }

  /** There is something of that name: to apply the command compares, and changes nothing. */
  #isThere(command: StatedCommand): boolean {
    const { routing } = this.#image;
    switch (command.kind) {
      case 'declare-queue':
        return this.#image.destination(command.vhost, command.name) !== undefined;
      case 'declare-exchange':
        return routing.exchange(command.vhost, command.name) !== undefined;
      case 'bind':
        return routing.has(command);
      case 'unbind':
        return !routing.has(command);
    }
  }

  async #change(command: MetadataCommand, timeoutMs: number): Promise<MetadataResult> {
    return resultOf(await this.#send(encodeCommand(command), timeoutMs));
  }

  #topicId(): Uint8Array {
    const draw = () => this.#random.u32();
    return uuidFromDraws(draw(), draw(), draw(), draw());
  }

  #creation(what: CreateDestination): CreateDestinationCommand {
    return {
      kind: 'create-destination',
      vhost: this.#vhost,
      name: what.name,
      topicId: this.#topicId(),
      logKind: what.kind === 'group' ? 'group' : 'partition',
      partitions: what.partitions,
      replicationFactor: what.replicationFactor,
      minInsync: -1,
      mode: 'auto',
      isInternal: what.isInternal,
      config: what.config,
      assignments: what.assignments,
    };
  }

  /** Applies to a copy: the same judgement as the real thing, without the thing. */
  #validate(command: MetadataCommand): MetadataResult {
    const copy = new MetadataImage();
    restoreImage(copy, snapshotImage(this.#image));
    const { outcome } = applyCommand(copy, command, copy.version + 1);
    if (outcome.kind === 'ok') return { kind: 'ok', version: this.#image.version };
    return { kind: 'refused', code: outcome.code, message: outcome.message };
  }
}
