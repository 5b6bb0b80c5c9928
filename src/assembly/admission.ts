// What a newcomer and the member that it asks say to each other, and who is taken in (pure). The member changes nothing:
// the newcomer is told who the cluster is, and registers as every node does. What is refused here would be refused later
// too, by links or by the metadata, but with fewer words.

import {
  COMMAND_CODE_MAX,
  type MetadataImage,
  SNAPSHOT_VERSION,
} from '../cluster/metadata/index.ts';
import {
  array,
  CodecError,
  oneOf,
  record,
  u16,
  u32,
  u53,
  union,
  utf8,
  type Value,
} from '../codec/index.ts';
import { type Member, membersOf, type Remembered } from './members.ts';
import { NODE_ID_MAX } from './node-config.ts';

/** What a build reads and writes of metadata: nodes of one cluster have the same. */
const formats = record({
  snapshots: u32,
  /** The highest code of a command. */
  commands: u32,
});

export type MetadataFormats = Value<typeof formats>;

export const METADATA_FORMATS: MetadataFormats = {
  snapshots: SNAPSHOT_VERSION,
  commands: COMMAND_CODE_MAX,
};

export const requestCodec = record({
  node: u32,
  /** Of the data in its folder; 0: the folder is new. */
  incarnation: u32,
  /** Of its build, for people. */
  version: utf8,
  formats,
});

export type AdmissionRequest = Value<typeof requestCodec>;

export const answerCodec = union({
  welcome: {
    clusterId: utf8,
    version: u53,
    members: array(record({ node: u32, host: utf8, port: u16 })),
    removed: array(u32),
  },
  refused: {
    code: oneOf('NODE_JOIN_ID_TAKEN', 'NODE_JOIN_VERSION', 'NODE_REMOVED'),
    message: utf8,
  },
  /** It may be otherwise soon. */
  later: { message: utf8 },
});

export type AdmissionAnswer = Value<typeof answerCodec>;

export interface AdmittingMember {
  readonly image: MetadataImage;
  readonly formats: MetadataFormats;
  readonly version: string;
  /** It hears the leader of the metadata: what its image says is not long past. */
  readonly hearsLeader: boolean;
}

export function admit(member: AdmittingMember, request: AdmissionRequest): AdmissionAnswer {
  const { image, formats: ours } = member;
  const { node: id, incarnation, formats: theirs } = request;
  if (theirs.snapshots !== ours.snapshots || theirs.commands !== ours.commands) {
    const words = ({ snapshots, commands }: MetadataFormats): string =>
      `snapshots of version ${snapshots} and commands up to ${commands}`;
    const message =
      `the metadata of this cluster has ${words(ours)} (callboard ${member.version}), ` +
      `node ${id} has ${words(theirs)} (callboard ${request.version}): all nodes of a cluster are of one version`;
    return { kind: 'refused', code: 'NODE_JOIN_VERSION', message };
  }
  if (image.clusterId === '') return { kind: 'later', message: 'the cluster is not founded yet' };
  if (!member.hearsLeader) {
    return { kind: 'later', message: 'the cluster has no metadata leader that this member hears' };
  }
  if (id < 1 || id > NODE_ID_MAX) {
    const message = `numbers of nodes go from 1 to ${NODE_ID_MAX}: ${id} is none`;
    return { kind: 'refused', code: 'NODE_JOIN_ID_TAKEN', message };
  }
  const known = image.node(id);
  if (known !== undefined && !known.isFenced && known.incarnation !== incarnation) {
    const message = `node ${id} is a member already, and live: give this one another number, or stop that one first`;
    return { kind: 'refused', code: 'NODE_JOIN_ID_TAKEN', message };
  }
  if (incarnation !== 0 && image.removedIncarnation(id) === incarnation) {
    const message =
      `node ${id} was removed from the cluster, and its data is not taken back; ` +
      'with an empty folder it joins as a new node';
    return { kind: 'refused', code: 'NODE_REMOVED', message };
  }
  return { kind: 'welcome', clusterId: image.clusterId, ...membersOf(image) };
}

/** The same of bytes. What cannot be read is of another version. */
export function answerNewcomer(bytes: Uint8Array, member: AdmittingMember): Uint8Array {
  const answer = admitUnread(bytes, member);
  const out = new Uint8Array(answerCodec.size(answer));
  answerCodec.encode(answer, out, 0);
  return out;
}

function admitUnread(bytes: Uint8Array, member: AdmittingMember): AdmissionAnswer {
  try {
    return admit(member, requestCodec.decode(bytes, 0, bytes.length));
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    const message = `callboard ${member.version} cannot read what this node asks: all nodes of a cluster are of one version`;
    return { kind: 'refused', code: 'NODE_JOIN_VERSION', message };
  }
}

export function rememberedOf(welcome: Extract<AdmissionAnswer, { kind: 'welcome' }>): Remembered {
  const { version, members, removed } = welcome;
  return { version, members: members as readonly Member[], removed };
}
