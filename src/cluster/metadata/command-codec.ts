// Bytes of metadata commands, as they lie in the Raft log: version u8 | code u8 | fields. Codes are
// never reused; a field that is added gets a new version of its command's code. Integers are varints,
// text and bytes are sized. Decoding malformed bytes throws BytesError.
import { ByteReader, BytesError, ByteWriter } from '../../std/bytes.ts';
import { ACCESS_CODECS } from './access-codec.ts';
import type { MetadataCommand, ReassignLog, RegisterNode } from './commands.ts';
import {
  readEndpoints,
  readKind,
  readList,
  readLogKind,
  readMode,
  readNodeIds,
  readOptionalText,
  readPairs,
  readRole,
  readSafeSet,
  writeEndpoints,
  writeKind,
  writeList,
  writeLogKind,
  writeMode,
  writeNodeIds,
  writeOptionalText,
  writePairs,
  writeRole,
  writeSafeSet,
} from './fields.ts';
import { POLICY_CODECS } from './policy-codec.ts';
import { ROUTING_CODECS } from './routing-codec.ts';

const VERSION = 1;
/** Of a registration. Flag 1 says nothing, and logs may have it. */
const FLAG_FAILED_SYNC = 2;
/** Of a drain, beside 0 and 1. */
const LEAVES_AND_HANDS_OVER = 2;

type Kind = MetadataCommand['kind'];
type CommandOf<K extends Kind> = Extract<MetadataCommand, { kind: K }>;

export interface CommandCodec<K extends Kind> {
  readonly code: number;
  write(out: ByteWriter, command: CommandOf<K>): void;
  read(input: ByteReader): Omit<CommandOf<K>, 'kind'>;
}

interface NodeInLife {
  readonly node: number;
  readonly incarnation: number;
}

function writeLife(out: ByteWriter, command: NodeInLife): void {
  out.varI53(command.node);
  out.varU53(command.incarnation);
}

function readLife(input: ByteReader): NodeInLife {
  return { node: input.varI53(), incarnation: input.varU53() };
}

function writeName(out: ByteWriter, command: { vhost: string; name: string }): void {
  out.text(command.vhost);
  out.text(command.name);
}

function readName(input: ByteReader): { vhost: string; name: string } {
  return { vhost: input.text(), name: input.text() };
}

function writeAssignments(out: ByteWriter, assignments: readonly (readonly number[])[]): void {
  writeList(out, assignments, writeNodeIds);
}

function readAssignments(input: ByteReader): number[][] {
  return readList(input, readNodeIds);
}

function writeRegistration(out: ByteWriter, command: Omit<RegisterNode, 'kind'>): void {
  writeLife(out, command);
  out.varU53(command.previousIncarnation);
  out.varU53(command.bootCounter);
  out.u8(command.hasFailedSync ? FLAG_FAILED_SYNC : 0);
  out.text(command.osBootId);
  out.varU53(command.pid);
  writeOptionalText(out, command.rack);
  writeEndpoints(out, command.endpoints);
  out.u8(command.firstShardThread);
  writeNodeIds(out, command.shardIncarnations);
}

function readRegistration(input: ByteReader): Omit<RegisterNode, 'kind'> {
  const life = readLife(input);
  const previousIncarnation = input.varU53();
  const bootCounter = input.varU53();
  const flags = input.u8();
  const osBootId = input.text();
  const pid = input.varU53();
  const rack = readOptionalText(input);
  const endpoints = readEndpoints(input);
  return {
    ...life,
    previousIncarnation,
    bootCounter,
    hasFailedSync: (flags & FLAG_FAILED_SYNC) !== 0,
    osBootId,
    pid,
    rack,
    endpoints,
    firstShardThread: input.u8(),
    shardIncarnations: readNodeIds(input),
  };
}

function writeReassignment(out: ByteWriter, command: Omit<ReassignLog, 'kind'>): void {
  out.varU53(command.logId);
  writeNodeIds(out, command.replicas);
  out.varI53(command.partitionEpoch);
}

function readReassignment(input: ByteReader): Omit<ReassignLog, 'kind'> {
  const logId = input.varU53();
  const replicas = readNodeIds(input);
  return { logId, replicas, partitionEpoch: input.varI53() };
}

const CODECS: { readonly [K in Kind]: CommandCodec<K> } = {
  'init-cluster': {
    code: 1,
    write(out, command) {
      out.text(command.clusterId);
      out.varI53(command.defaults.partitions);
      out.varI53(command.defaults.replicationFactor);
    },
    read(input) {
      const clusterId = input.text();
      const partitions = input.varI53();
      return { clusterId, defaults: { partitions, replicationFactor: input.varI53() } };
    },
  },
  'register-node': { code: 2, write: writeRegistration, read: readRegistration },
  'register-node-with-kinds': {
    code: 24,
    write(out, command) {
      writeRegistration(out, command);
      writeList(out, command.kinds, writeKind);
    },
    read: (input) => ({ ...readRegistration(input), kinds: readList(input, readKind) }),
  },
  'register-node-as': {
    code: 34,
    write(out, command) {
      writeRegistration(out, command);
      writeList(out, command.kinds, writeKind);
      writeRole(out, command.role);
    },
    read(input) {
      const registration = readRegistration(input);
      const kinds = readList(input, readKind);
      return { ...registration, kinds, role: readRole(input) };
    },
  },
  'unfence-node': { code: 3, write: writeLife, read: readLife },
  'fence-node': { code: 4, write: writeLife, read: readLife },
  'resign-node': { code: 5, write: writeLife, read: readLife },
  'deregister-node': { code: 6, write: writeLife, read: readLife },
  'drain-node': {
    code: 30,
    write(out, command) {
      writeLife(out, command);
      out.u8(!command.isLeaving ? 0 : command.handsOver === true ? LEAVES_AND_HANDS_OVER : 1);
    },
    read(input) {
      const life = readLife(input);
      const how = input.u8();
      const base = { ...life, isLeaving: how !== 0 };
      return how === LEAVES_AND_HANDS_OVER ? { ...base, handsOver: true } : base;
    },
  },
  'restart-shard': {
    code: 7,
    write(out, command) {
      writeLife(out, command);
      out.varU53(command.shard);
      out.varU53(command.shardIncarnation);
    },
    read(input) {
      const life = readLife(input);
      const shard = input.varU53();
      return { ...life, shard, shardIncarnation: input.varU53() };
    },
  },
  'create-destination': {
    code: 8,
    write(out, command) {
      writeName(out, command);
      out.sized(command.topicId);
      writeLogKind(out, command.logKind);
      out.varI53(command.partitions);
      out.varI53(command.replicationFactor);
      out.varI53(command.minInsync);
      writeMode(out, command.mode);
      out.u8(command.isInternal ? 1 : 0);
      writePairs(out, command.config);
      writeAssignments(out, command.assignments);
    },
    read(input) {
      const name = readName(input);
      const topicId = input.sized().slice();
      const logKind = readLogKind(input);
      const partitions = input.varI53();
      const replicationFactor = input.varI53();
      const minInsync = input.varI53();
      const mode = readMode(input);
      const isInternal = input.u8() !== 0;
      const config = readPairs(input);
      const assignments = readAssignments(input);
      const counts = { partitions, replicationFactor, minInsync };
      return { ...name, ...counts, topicId, logKind, mode, isInternal, config, assignments };
    },
  },
  'create-actor': {
    code: 25,
    write(out, command) {
      writeKind(out, command.actor);
      out.text(command.name);
      out.sized(command.topicId);
      out.varI53(command.replicationFactor);
      out.varI53(command.minInsync);
    },
    read(input) {
      const actor = readKind(input);
      const name = input.text();
      const topicId = input.sized().slice();
      const replicationFactor = input.varI53();
      return { actor, name, topicId, replicationFactor, minInsync: input.varI53() };
    },
  },
  'delete-actor': {
    code: 26,
    write(out, command) {
      out.text(command.actorKind);
      out.text(command.name);
      out.varU53(command.logId);
    },
    read(input) {
      const actorKind = input.text();
      const name = input.text();
      return { actorKind, name, logId: input.varU53() };
    },
  },
  'delete-destination': { code: 9, write: writeName, read: readName },
  'add-partitions': {
    code: 10,
    write(out, command) {
      writeName(out, command);
      out.varI53(command.partitions);
      writeAssignments(out, command.assignments);
    },
    read(input) {
      const name = readName(input);
      const partitions = input.varI53();
      return { ...name, partitions, assignments: readAssignments(input) };
    },
  },
  'configure-destination': {
    code: 11,
    write(out, command) {
      writeName(out, command);
      out.u8(command.replace ? 1 : 0);
      writeList(out, command.entries, (to, [key, value]) => {
        to.text(key);
        writeOptionalText(to, value);
      });
    },
    read(input) {
      const name = readName(input);
      const replace = input.u8() !== 0;
      const entries = readList(input, (from) => [from.text(), readOptionalText(from)] as const);
      return { ...name, replace, entries };
    },
  },
  'reassign-log': { code: 31, write: writeReassignment, read: readReassignment },
  'move-log': { code: 36, write: writeReassignment, read: readReassignment },
  'propose-safe-set': {
    code: 12,
    write(out, command) {
      out.varU53(command.logId);
      out.varI53(command.node);
      out.varI53(command.epoch);
      out.varI53(command.partitionEpoch);
      writeSafeSet(out, command.safeSet);
      writeNodeIds(out, command.isr);
    },
    read(input) {
      const logId = input.varU53();
      const node = input.varI53();
      const epoch = input.varI53();
      const partitionEpoch = input.varI53();
      const safeSet = readSafeSet(input);
      return { logId, node, epoch, partitionEpoch, safeSet, isr: readNodeIds(input) };
    },
  },
  'prefer-leaders': {
    code: 13,
    write(out, command) {
      writeNodeIds(out, command.logIds);
    },
    read(input) {
      return { logIds: readNodeIds(input) };
    },
  },
  'return-leaders': {
    code: 35,
    write(out, command) {
      writeNodeIds(out, command.logIds);
    },
    read(input) {
      return { logIds: readNodeIds(input) };
    },
  },
  'move-leaders': {
    code: 32,
    write(out, command) {
      out.varI53(command.node);
      writeList(out, command.moves, (to, move) => {
        to.varU53(move.logId);
        to.varI53(move.epoch);
        to.varI53(move.partitionEpoch);
        to.varI53(move.to);
      });
    },
    read(input) {
      const node = input.varI53();
      const moves = readList(input, (from) => {
        const logId = from.varU53();
        const epoch = from.varI53();
        const partitionEpoch = from.varI53();
        return { logId, epoch, partitionEpoch, to: from.varI53() };
      });
      return { node, moves };
    },
  },
  'resign-log': {
    code: 14,
    write(out, command) {
      out.varU53(command.logId);
      out.varI53(command.node);
      out.varI53(command.epoch);
    },
    read(input) {
      const logId = input.varU53();
      const node = input.varI53();
      return { logId, node, epoch: input.varI53() };
    },
  },
  'lose-replicas': {
    code: 27,
    write(out, command) {
      writeLife(out, command);
      writeNodeIds(out, command.logIds);
    },
    read(input) {
      const life = readLife(input);
      return { ...life, logIds: readNodeIds(input) };
    },
  },
  'elect-unclean': {
    code: 15,
    write(out, command) {
      out.varU53(command.logId);
      out.varI53(command.node);
      out.varI53(command.epoch);
      out.u8(command.isForced ? 1 : 0);
    },
    read(input) {
      const logId = input.varU53();
      const node = input.varI53();
      const epoch = input.varI53();
      return { logId, node, epoch, isForced: input.u8() !== 0 };
    },
  },
  'allow-unclean': {
    code: 33,
    write(out, command) {
      out.varU53(command.logId);
      out.varI53(command.epoch);
    },
    read(input) {
      const logId = input.varU53();
      return { logId, epoch: input.varI53() };
    },
  },
  'set-setting': {
    code: 16,
    write(out, command) {
      out.text(command.key);
      out.u8(command.value === undefined ? 0 : 1);
      if (command.value !== undefined) out.sized(command.value);
    },
    read(input) {
      const key = input.text();
      return { key, value: input.u8() === 0 ? undefined : input.sized().slice() };
    },
  },
  ...POLICY_CODECS,
  ...ACCESS_CODECS,
  ...ROUTING_CODECS,
};

const KINDS = Object.keys(CODECS) as readonly Kind[];

/** Every build that reads commands up to a code reads all below: nodes of one cluster have the same. */
export const COMMAND_CODE_MAX = Math.max(...KINDS.map((kind) => CODECS[kind].code));

export function encodeCommand(command: MetadataCommand): Uint8Array {
  const out = new ByteWriter(128);
  const codec = CODECS[command.kind] as unknown as CommandCodec<Kind>;
  out.u8(VERSION);
  out.u8(codec.code);
  codec.write(out, command);
  return out.toBytes();
}

/** Throws BytesError for malformed bytes, an unknown code or bytes left over. */
export function decodeCommand(bytes: Uint8Array): MetadataCommand {
  const input = new ByteReader(bytes);
  const version = input.u8();
  const code = input.u8();
  const kind = KINDS.find((candidate) => CODECS[candidate].code === code);
  if (version !== VERSION || kind === undefined) {
    throw new BytesError('BYTES_TRUNCATED', 'not a known metadata command', { version, code });
  }
  const fields = CODECS[kind].read(input);
  if (input.remaining > 0) {
    throw new BytesError('BYTES_TRUNCATED', 'bytes behind a metadata command', { code });
  }
  return { kind, ...fields } as MetadataCommand;
}

/** The node that an encoded command takes out; undefined for all other commands, at the price of a look. */
export function nodeRemovedBy(bytes: Uint8Array): number | undefined {
  if (bytes[1] !== CODECS['deregister-node'].code) return undefined;
  const command = decodeCommand(bytes);
  return command.kind === 'deregister-node' ? command.node : undefined;
}
