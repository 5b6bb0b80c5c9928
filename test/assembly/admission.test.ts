// Who is taken in, and what is said to who is not; addresses by metadata, and what is remembered of them.
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type AdmissionRequest,
  admit,
  answerCodec,
  answerNewcomer,
  METADATA_FORMATS,
  requestCodec,
} from '../../src/assembly/admission.ts';
import {
  decodeMembers,
  encodeMembers,
  MEMBERS_FILE,
  Members,
  NOTHING_REMEMBERED,
} from '../../src/assembly/members.ts';
import { Neighbours } from '../../src/assembly/neighbours.ts';
import type { NodeAddress } from '../../src/assembly/node-config.ts';
import {
  applyCommand,
  type MetadataCommand,
  MetadataImage,
} from '../../src/cluster/metadata/index.ts';
import { createNodeEnvironment } from '../../src/env/node/environment.ts';
import { decodeUtf8, encodeUtf8 } from '../../src/std/bytes.ts';

let image: MetadataImage;
let index: number;

function apply(command: MetadataCommand): void {
  index += 1;
  expect(applyCommand(image, command, index).outcome).toEqual({ kind: 'ok' });
}

function register(node: number, incarnation: number, port = 7000 + node): void {
  const role = node === 4 ? 'ram' : 'disk';
  apply({
    // Two that vote and one that does not, so that it may be removed.
    ...(role === 'disk'
      ? { kind: 'register-node' }
      : { kind: 'register-node-as', role, kinds: [] }),
    node,
    incarnation,
    previousIncarnation: 0,
    bootCounter: 1,
    hasFailedSync: false,
    osBootId: '',
    pid: 1,
    rack: undefined,
    endpoints: [{ listener: 'link', host: `host-${node}`, port }],
    firstShardThread: 0,
    shardIncarnations: [1],
  });
}

const live = (node: number, incarnation: number) =>
  apply({ kind: 'unfence-node', node, incarnation });
const fence = (node: number, incarnation: number) =>
  apply({ kind: 'fence-node', node, incarnation });
const remove = (node: number, incarnation: number) =>
  apply({ kind: 'deregister-node', node, incarnation });

const request = (change: Partial<AdmissionRequest> = {}): AdmissionRequest => ({
  node: 4,
  incarnation: 0,
  version: '1.2.3',
  formats: METADATA_FORMATS,
  ...change,
});

const ask = (change: Partial<AdmissionRequest> = {}, hearsLeader = true) =>
  admit({ image, formats: METADATA_FORMATS, version: '0.0.1', hearsLeader }, request(change));

beforeEach(() => {
  image = new MetadataImage();
  index = 0;
  apply({
    kind: 'init-cluster',
    clusterId: 'here',
    defaults: { partitions: 3, replicationFactor: -1 },
  });
  for (const node of [1, 2]) {
    register(node, 1);
    live(node, 1);
  }
});

describe('a newcomer', () => {
  test('is told who the cluster is', () => {
    expect(ask()).toEqual({
      kind: 'welcome',
      clusterId: 'here',
      version: index,
      members: [
        { node: 1, host: 'host-1', port: 7001 },
        { node: 2, host: 'host-2', port: 7002 },
      ],
      removed: [],
    });
  });

  test('with the number of a live node is refused, of a dead one it is not', () => {
    expect(ask({ node: 2 })).toMatchObject({ kind: 'refused', code: 'NODE_JOIN_ID_TAKEN' });
    // Its own folder: that node, which has started again before it was missed.
    expect(ask({ node: 2, incarnation: 1 }).kind).toBe('welcome');
    fence(2, 1);
    expect(ask({ node: 2 }).kind).toBe('welcome');
  });

  test.each([0, 2 ** 21, 2 ** 32 - 1])('with the number %i is refused: it is none', (node) => {
    expect(ask({ node })).toMatchObject({ kind: 'refused', code: 'NODE_JOIN_ID_TAKEN' });
    expect(ask({ node: 2 ** 21 - 1 }).kind).toBe('welcome');
  });

  test('with the folder of a node that was removed is refused, with an empty one it is not', () => {
    register(4, 9);
    remove(4, 9);
    expect(ask({ incarnation: 9 })).toMatchObject({ kind: 'refused', code: 'NODE_REMOVED' });
    expect(ask()).toMatchObject({ kind: 'welcome', removed: [4] });
  });

  test.each(['snapshots', 'commands'] as const)(
    'of a build with other %s is refused, in words',
    (what) => {
      const formats = { ...METADATA_FORMATS, [what]: METADATA_FORMATS[what] + 1 };
      const answer = ask({ formats });
      expect(answer).toMatchObject({ kind: 'refused', code: 'NODE_JOIN_VERSION' });
      expect((answer as { message: string }).message).toMatch(
        /callboard 0\.0\.1.*callboard 1\.2\.3/,
      );
    },
  );

  test('waits for a cluster that is not founded, and for a member that hears a leader', () => {
    expect(ask({}, false)).toMatchObject({ kind: 'later' });
    image = new MetadataImage();
    expect(ask()).toMatchObject({ kind: 'later' });
  });

  test('whose words cannot be read is of another version', () => {
    const member = { image, formats: METADATA_FORMATS, version: '0.0.1', hearsLeader: true };
    const read = (bytes: Uint8Array) => {
      const out = answerNewcomer(bytes, member);
      return answerCodec.decode(out, 0, out.length);
    };
    const whole = new Uint8Array(requestCodec.size(request()));
    requestCodec.encode(request(), whole, 0);
    expect(read(whole).kind).toBe('welcome');
    for (let cut = 0; cut < whole.length; cut += 1) {
      expect(read(whole.subarray(0, cut))).toMatchObject({ code: 'NODE_JOIN_VERSION' });
    }
  });
});

const addresses = (...ids: number[]): NodeAddress[] =>
  ids.map((id) => ({
    id,
    host: `set-${id}`,
    linkPort: id,
    kafkaPort: 0,
    amqpPort: 0,
    rocketmqPort: 0,
    httpPort: 0,
  }));

describe('members', () => {
  const env = () => createNodeEnvironment({});

  test('are those of the configuration until metadata knows others: only then is something written', () => {
    const own = env();
    const members = new Members(own, { nodeId: 1, nodes: addresses(1, 2) });
    members.changed(image);
    expect(own.disk.readFile(MEMBERS_FILE)).toBeUndefined();
    expect(members.others()).toEqual([2]);
    register(4, 9);
    members.changed(image);
    expect(members.others()).toEqual([2, 4]);
    const again = new Members(own, { nodeId: 1, nodes: addresses(1, 2) });
    expect(again.ids()).toEqual([1, 2, 4]);
    expect(again.remembered.members.at(-1)).toEqual({ node: 4, host: 'host-4', port: 7004 });
  });

  test('that were removed count no more, whoever lists them; the node itself does', () => {
    const own = env();
    fence(2, 1);
    remove(2, 1);
    const members = new Members(own, { nodeId: 1, nodes: addresses(1, 2, 3) });
    members.changed(image);
    expect(members.ids()).toEqual([1, 3]);
    const gone = new Members(own, { nodeId: 2, nodes: addresses(1, 2, 3) });
    expect(gone.ids()).toEqual([1, 2, 3]);
  });

  test('of an answer go before those of the file, and are kept when the folder is this node’s', () => {
    const own = env();
    const introduced = { version: 9, members: [{ node: 7, host: 'h', port: 5 }], removed: [2] };
    const members = new Members(own, { nodeId: 4, nodes: addresses(4) }, introduced);
    expect(members.others()).toEqual([7]);
    expect(own.disk.readFile(MEMBERS_FILE)).toBeUndefined();
    members.keepIntroduced();
    expect(new Members(own, { nodeId: 4, nodes: addresses(4) }).others()).toEqual([7]);
  });

  test('are written when they differ, and not for every change', () => {
    const own = env();
    const members = new Members(own, { nodeId: 4, nodes: addresses(4) });
    members.changed(image);
    const first = own.disk.readFile(MEMBERS_FILE);
    fence(2, 1);
    members.changed(image);
    expect(own.disk.readFile(MEMBERS_FILE)).toEqual(first);
    register(2, 2, 7999);
    members.changed(image);
    expect(new Members(own, { nodeId: 4, nodes: addresses(4) }).remembered.members[1]!.port).toBe(
      7999,
    );
  });

  test('of a file that cannot be read are those of the configuration', () => {
    const own = env();
    for (const text of [
      '',
      '[]',
      'null',
      '{"format":2}',
      '{"format":1,"version":1,"members":[{}],"removed":[]}',
    ]) {
      own.disk.replaceFile(MEMBERS_FILE, encodeUtf8(text));
      expect(new Members(own, { nodeId: 1, nodes: addresses(1, 2) }).ids()).toEqual([1, 2]);
    }
  });

  test('are read as they were written', () => {
    const remembered = { version: 7, members: [{ node: 3, host: 'h', port: 5 }], removed: [9] };
    const text =
      '{"format":1,"version":7,"members":[{"node":3,"host":"h","port":5}],"removed":[9]}\n';
    expect(decodeUtf8(encodeMembers(remembered))).toBe(text);
    expect(decodeMembers(encodeUtf8(text))).toEqual(remembered);
  });
});

test('links learn where nodes are with each registration, and not from metadata that is older than what is remembered', () => {
  const told: string[] = [];
  const links = {
    learnAddress: (node: number, { host, port }: { host: string; port: number }) =>
      void told.push(`${node} ${host}:${port}`),
    forgetAddress: (node: number) => void told.push(`${node} gone`),
  };
  const remembered = {
    version: index + 2,
    members: [{ node: 2, host: 'new', port: 1 }],
    removed: [],
  };
  const late = new Neighbours(image, 1, links, remembered);
  late.look();
  expect(told.splice(0)).toEqual(['2 new:1']);
  const neighbours = new Neighbours(image, 1, links, NOTHING_REMEMBERED);
  neighbours.look();
  expect(told.splice(0)).toEqual(['2 host-2:7002']);
  register(4, 9);
  live(4, 9);
  neighbours.look();
  neighbours.look();
  late.look();
  expect(told.splice(0)).toEqual(['4 host-4:7004', '2 host-2:7002', '4 host-4:7004']);
  fence(4, 9);
  remove(4, 9);
  neighbours.look();
  expect(told.splice(0)).toEqual(['4 gone']);
  // What node 2 said of itself when it dialled in its life of before counts no more.
  fence(2, 1);
  neighbours.look();
  register(2, 5, 7999);
  neighbours.look();
  live(2, 5);
  neighbours.look();
  expect(told).toEqual(['2 host-2:7002', '2 gone', '2 host-2:7999', '2 host-2:7999']);
});
