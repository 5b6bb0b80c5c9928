// What a queue is asked, and the bytes of it. Protocol-neutral: batches of log clients, consumers that
// pull, runs of messages that are settled. A command carries many items as columns (Runs), not as objects.
//
//   u8 kind | fields in the order of the interface | the rest: a batch, or nothing
import type { ReplyLevel } from '../../actors/durable/behavior.ts';
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import { varU53Size, writeVarU53 } from '../../std/varint.ts';
import type { ConsumerOptions, Owner } from './consumers.ts';
import { getRuns, putRuns, type Runs } from './runs.ts';

/** Stores a batch once, however often it is sent. */
export interface PublishCommand {
  readonly kind: 'publish';
  readonly level: ReplyLevel;
  /** A log client numbers its messages from 1 on, without gaps, in each of its incarnations. */
  readonly clientId: number;
  readonly incarnation: number;
  /** The number of the first record of the batch; the others follow. */
  readonly firstNumber: number;
  /** A whole v2 batch, checked; its base offset and epoch are overwritten in place. */
  readonly batch: Uint8Array;
}

/** An id is unique among the consumers of its owner. Attaching again gives back what was held. */
export interface AttachCommand extends ConsumerOptions {
  readonly kind: 'attach';
  readonly owner: Owner;
  readonly consumerId: number;
}

export interface DetachCommand {
  readonly kind: 'detach';
  readonly owner: Owner;
  readonly consumerId: number;
  /** What it holds may still be settled; otherwise it is ready again at once. */
  readonly keepsMessages: boolean;
  /** As in a receive: what is above was never heard of, and is ready again. */
  readonly seen: number;
}

/**
 * Asks for messages. One receive of a consumer waits at a time: a second one takes the place of the first,
 * which is answered `replaced`.
 */
export interface ReceiveCommand {
  readonly kind: 'receive';
  readonly owner: Owner;
  readonly consumerId: number;
  /**
   * The highest lease number of all answers so far, or that of the attach. Leases above it went into an
   * answer that got lost: they are the answer now. Whoever did get it meanwhile skips them.
   */
  readonly seen: number;
  /** So many messages and no more. */
  readonly credit: number;
  /** 0: only what is there. */
  readonly waitMs: number;
  /** The messages come back after so long; 0: when they are returned, or the owner is gone. */
  readonly leaseMs: number;
}

/** A message that nobody holds may be acknowledged by whoever had it; one that another holds may not. */
export interface AcknowledgeCommand {
  readonly kind: 'acknowledge';
  readonly level: ReplyLevel;
  /** The epoch of the lease numbers. */
  readonly epoch: number;
  readonly runs: Runs;
}

export interface ReturnCommand {
  readonly kind: 'return';
  readonly level: ReplyLevel;
  /** Ready again where it was; otherwise it is gone, as if acknowledged. */
  readonly isRequeued: boolean;
  /** One more in the number of times that the message came back. */
  readonly counts: boolean;
  readonly epoch: number;
  readonly runs: Runs;
}

/** The node is gone in this incarnation and all before it: what it held is ready again. */
export interface ReleaseOwnerCommand {
  readonly kind: 'release-owner';
  readonly owner: Owner;
}

/** Leases end so long from now; 0: now, and it counts. */
export interface ExtendCommand {
  readonly kind: 'extend';
  readonly leaseMs: number;
  readonly epoch: number;
  readonly runs: Runs;
}

/** Everything that is ready goes; what is leased stays. */
export interface PurgeCommand {
  readonly kind: 'purge';
}

export interface StatsCommand {
  readonly kind: 'stats';
}

/** May the queue be deleted? */
export interface CheckCommand {
  readonly kind: 'check';
  readonly isUnused: boolean;
  readonly isEmpty: boolean;
}

export type QueueCommand =
  | PublishCommand
  | AttachCommand
  | DetachCommand
  | ReceiveCommand
  | AcknowledgeCommand
  | ReturnCommand
  | ReleaseOwnerCommand
  | ExtendCommand
  | PurgeCommand
  | StatsCommand
  | CheckCommand;

const KINDS = [
  'publish',
  'attach',
  'detach',
  'receive',
  'acknowledge',
  'return',
  'release-owner',
  'extend',
  'purge',
  'stats',
  'check',
] as const satisfies readonly QueueCommand['kind'][];

const LEVELS: readonly ReplyLevel[] = ['none', 'local', 'committed', 'accepted', 'stored'];
const FLAG_A = 1;
const FLAG_B = 2;
const FLAG_C = 4;

const KEPT_BYTES_MAX = 64 * 1024;
const writer = new ByteWriter(256);

export function encodeQueueCommand(command: QueueCommand): Uint8Array {
  writer.reset();
  putCommand(writer, command);
  const bytes = writer.toBytes();
  if (writer.bytes.length > KEPT_BYTES_MAX) writer.bytes = new Uint8Array(256);
  return bytes;
}

/** Room that {@link writePublishHead} needs at most. */
export const PUBLISH_HEAD_BYTES_MAX = 26;

/**
 * Writes what is in front of the batch of a publish, so that it ends at `end`, and returns where it starts: the
 * batch need not be copied into its command.
 */
export function writePublishHead(
  out: Uint8Array,
  end: number,
  client: Pick<PublishCommand, 'clientId' | 'incarnation'>,
  firstNumber: number,
  level: 'accepted' | 'stored',
): number {
  const { clientId, incarnation } = client;
  const sizes = varU53Size(clientId) + varU53Size(incarnation) + varU53Size(firstNumber);
  const start = end - 2 - sizes;
  out[start] = KINDS.indexOf('publish');
  out[start + 1] = LEVELS.indexOf(level);
  let at = writeVarU53(out, start + 2, clientId);
  at = writeVarU53(out, at, incarnation);
  writeVarU53(out, at, firstNumber);
  return start;
}

/** Whether encoded bytes are a publish. */
export function isPublish(body: Uint8Array): boolean {
  return body[0] === KINDS.indexOf('publish');
}

/** Of bytes that are a publish. Throws BytesError or RangeError where they are none that is whole. */
export function decodePublish(body: Uint8Array): PublishCommand {
  const from = new ByteReader(body);
  from.u8();
  return getPublish(from);
}

function getPublish(from: ByteReader): PublishCommand {
  return {
    kind: 'publish',
    level: getLevel(from),
    clientId: from.varU53(),
    incarnation: from.varU53(),
    firstNumber: from.varU53(),
    batch: from.view(from.remaining),
  };
}

function putCommand(out: ByteWriter, command: QueueCommand): void {
  out.u8(KINDS.indexOf(command.kind));
  switch (command.kind) {
    case 'publish':
      putLevel(out, command.level);
      out.varU53(command.clientId);
      out.varU53(command.incarnation);
      out.varU53(command.firstNumber);
      out.raw(command.batch);
      break;
    case 'attach':
      putConsumer(out, command);
      out.u8(flags(command.isAutoAcknowledging, command.isExclusive, command.isPassive));
      out.varI53(command.priority);
      break;
    case 'detach':
      putConsumer(out, command);
      out.u8(flags(command.keepsMessages));
      out.varU53(command.seen);
      break;
    case 'receive':
      putConsumer(out, command);
      out.varU53(command.seen);
      out.varU53(command.credit);
      out.varU53(command.waitMs);
      out.varU53(command.leaseMs);
      break;
    case 'acknowledge':
      putLevel(out, command.level);
      putHeld(out, command);
      break;
    case 'return':
      putLevel(out, command.level);
      out.u8(flags(command.isRequeued, command.counts));
      putHeld(out, command);
      break;
    case 'release-owner':
      putOwner(out, command.owner);
      break;
    case 'extend':
      out.varU53(command.leaseMs);
      putHeld(out, command);
      break;
    case 'check':
      out.u8(flags(command.isUnused, command.isEmpty));
      break;
    case 'purge':
    case 'stats':
      break;
  }
}

/**
 * `runs` is filled and lent where the command has runs; a batch is a view of `body`. Throws BytesError or
 * RangeError for bytes that are no command, or that name more than `messagesMax` messages.
 */
export function decodeQueueCommand(
  body: Uint8Array,
  runs: Runs,
  messagesMax: number,
): QueueCommand {
  const from = new ByteReader(body);
  const command = getCommand(from, runs, messagesMax);
  if (from.remaining > 0) throw new RangeError('bytes behind a command');
  return command;
}

function getCommand(from: ByteReader, runs: Runs, messagesMax: number): QueueCommand {
  const kind = KINDS[from.u8()];
  switch (kind) {
    case 'publish':
      return getPublish(from);
    case 'attach':
      return getAttach(from);
    case 'detach': {
      const consumer = getConsumer(from);
      const keepsMessages = (from.u8() & FLAG_A) !== 0;
      return { kind, ...consumer, keepsMessages, seen: from.varU53() };
    }
    case 'receive':
      return {
        kind,
        owner: getOwner(from),
        consumerId: from.varU53(),
        seen: from.varU53(),
        credit: from.varU53(),
        waitMs: from.varU53(),
        leaseMs: from.varU53(),
      };
    case 'acknowledge': {
      const level = getLevel(from);
      const epoch = from.varU53();
      getRuns(from, runs, messagesMax);
      return { kind, level, epoch, runs };
    }
    case 'return': {
      const level = getLevel(from);
      const bits = from.u8();
      const isRequeued = (bits & FLAG_A) !== 0;
      const counts = (bits & FLAG_B) !== 0;
      return { kind, level, isRequeued, counts, ...getHeld(from, runs, messagesMax) };
    }
    case 'release-owner':
      return { kind, owner: getOwner(from) };
    case 'extend':
      return { kind, leaseMs: from.varU53(), ...getHeld(from, runs, messagesMax) };
    case 'check': {
      const bits = from.u8();
      return { kind, isUnused: (bits & FLAG_A) !== 0, isEmpty: (bits & FLAG_B) !== 0 };
    }
    case 'purge':
    case 'stats':
      return { kind };
    default:
      throw new RangeError('unknown queue command');
  }
}

function getAttach(from: ByteReader): AttachCommand {
  const consumer = getConsumer(from);
  const bits = from.u8();
  return {
    kind: 'attach',
    ...consumer,
    isAutoAcknowledging: (bits & FLAG_A) !== 0,
    isExclusive: (bits & FLAG_B) !== 0,
    isPassive: (bits & FLAG_C) !== 0,
    priority: from.varI53(),
  };
}

function flags(a: boolean, b = false, c = false): number {
  return (a ? FLAG_A : 0) | (b ? FLAG_B : 0) | (c ? FLAG_C : 0);
}

function putLevel(out: ByteWriter, level: ReplyLevel): void {
  out.u8(LEVELS.indexOf(level));
}

function getLevel(from: ByteReader): ReplyLevel {
  const level = LEVELS[from.u8()];
  if (level === undefined) throw new RangeError('unknown level');
  return level;
}

function putOwner(out: ByteWriter, owner: Owner): void {
  out.varU53(owner.node);
  out.varU53(owner.incarnation);
}

function getOwner(from: ByteReader): Owner {
  return { node: from.varU53(), incarnation: from.varU53() };
}

interface Named {
  readonly owner: Owner;
  readonly consumerId: number;
}

function putConsumer(out: ByteWriter, { owner, consumerId }: Named): void {
  putOwner(out, owner);
  out.varU53(consumerId);
}

function getConsumer(from: ByteReader): Named {
  return { owner: getOwner(from), consumerId: from.varU53() };
}

interface Held {
  readonly epoch: number;
  readonly runs: Runs;
}

function putHeld(out: ByteWriter, { epoch, runs }: Held): void {
  out.varU53(epoch);
  putRuns(out, runs);
}

function getHeld(from: ByteReader, runs: Runs, messagesMax: number): Held {
  const epoch = from.varU53();
  getRuns(from, runs, messagesMax);
  return { epoch, runs };
}
