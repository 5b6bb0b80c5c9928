// A node that joins by options: what they say over what its folder remembers, what is missing, and what `cluster add`
// prints for it.
import fs from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ApiCluster, ApiStatus } from '../../src/admin/api-types.ts';
import type { NodeConfig } from '../../src/assembly/node-config.ts';
import { AdminClient } from '../../src/cli/client.ts';
import { addLines, planOf } from '../../src/cli/cluster-add.ts';
import { CliFailure, EXIT, exitCodeOfNode } from '../../src/cli/failure.ts';
import { nodeNumber } from '../../src/cli/parse.ts';
import { joinAddress, nodeConfigText, parseNodeConfig } from '../../src/cli/server-config.ts';
import {
  configFromOptions,
  rememberConfig,
  SERVER_FILE,
  TOKEN_VARIABLE,
  tokenOf,
} from '../../src/cli/server-join.ts';

const env = { [TOKEN_VARIABLE]: 'secret' };
let folder: string;
let count = 0;

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'callboard-server-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

let data: string;
beforeEach(() => {
  count += 1;
  data = join(folder, `${count}`);
  fs.mkdirSync(data);
});

describe('options', () => {
  test('say all that a node needs to join, on ports that go by its number', () => {
    const config = configFromOptions({ join: ['a:1,[::1]:2', 'b:3'], id: 4, data }, env);
    expect(config).toMatchObject({
      clusterId: '',
      nodeId: 4,
      token: 'secret',
      host: 'localhost',
      dataRoot: data,
      isFounding: false,
      join: [
        { host: 'a', port: 1 },
        { host: '::1', port: 2 },
        { host: 'b', port: 3 },
      ],
    });
    expect(config.nodes).toEqual([
      {
        id: 4,
        host: '127.0.0.1',
        kafkaPort: 9095,
        httpPort: 9195,
        linkPort: 9295,
        amqpPort: 5675,
        rocketmqPort: 8084,
      },
    ]);
  });

  test('are remembered by the folder, for its owner only, and those of the next start go before', () => {
    const first = { join: ['a:1'], id: 4, data, kafkaPort: 1234, rack: 'r1', host: '10.0.0.4' };
    rememberConfig(configFromOptions(first, env));
    expect(fs.statSync(join(data, SERVER_FILE)).mode & 0o777).toBe(0o600);
    const again = configFromOptions({ data }, {});
    expect(again).toMatchObject({ nodeId: 4, token: 'secret', rack: 'r1', host: '10.0.0.4' });
    expect(again.join).toBeUndefined();
    expect(again.nodes[0]).toMatchObject({ host: '10.0.0.4', kafkaPort: 1234, httpPort: 9195 });
    const other = configFromOptions({ data, httpPort: 77, rack: 'r2', token: 'new' }, env);
    expect(other).toMatchObject({ token: 'new', rack: 'r2' });
    expect(other.nodes[0]).toMatchObject({ kafkaPort: 1234, httpPort: 77 });
    // The folder was moved.
    fs.renameSync(data, `${data}-moved`);
    expect(configFromOptions({ data: `${data}-moved` }, {}).dataRoot).toBe(`${data}-moved`);
  });

  test('go without a file that cannot be read, and without them it is named', () => {
    for (const text of ['', '{', 'null', '{"nodeId":4}']) {
      fs.writeFileSync(join(data, SERVER_FILE), text);
      expect(() => configFromOptions({ data }, env)).toThrow(CliFailure);
      expect(() => configFromOptions({ data }, env)).toThrow(/server\.json cannot be read: /);
      expect(configFromOptions({ data, join: ['a:1'], id: 4 }, env)).toMatchObject({ nodeId: 4 });
    }
  });

  test.each([
    ['a folder without a past and without a member', {}, /no node has joined with it/],
    ['no number', { join: ['a:1'] }, /--id N/],
    ['an address without a port', { join: ['a'], id: 4 }, /not HOST:PORT/],
    [
      'every address to listen at',
      { join: ['a:1'], id: 4, host: '0.0.0.0' },
      /no address that other nodes/,
    ],
    ['both a folder and memory', { join: ['a:1'], id: 4, memory: true }, /either --data DIR or/],
  ])('%s is refused by name', (_what, options, message) => {
    expect(() => configFromOptions({ data, ...options }, env)).toThrow(message);
  });

  test('the token is an option, a file or a variable, and there is none without one', () => {
    const file = join(data, 'token');
    fs.writeFileSync(file, 'from-file\n');
    expect(tokenOf({ tokenFile: file }, env)).toBe('from-file');
    expect(tokenOf({ token: 'given', tokenFile: file }, env)).toBe('given');
    expect(() => tokenOf({ tokenFile: `${file}-not` }, env)).toThrow(/cannot read/);
    expect(() => configFromOptions({ data, join: ['a:1'], id: 4 }, {})).toThrow(/needs the token/);
  });
});

describe('a configuration file', () => {
  const own = { linkPort: 1, kafkaPort: 2, amqpPort: 3, rocketmqPort: 4, httpPort: 5 };
  const config: NodeConfig = {
    clusterId: '',
    nodeId: 4,
    nodes: [{ id: 4, host: 'h', ...own }],
    join: [{ host: '::1', port: 9292 }],
    dataRoot: undefined,
    shards: 0,
    host: 'localhost',
    token: 't',
    isFounding: false,
  };

  test('names members, and no cluster', () => {
    expect(parseNodeConfig(nodeConfigText(config), 'it')).toEqual(config);
    expect(JSON.parse(nodeConfigText(config)).join).toEqual(['[::1]:9292']);
  });

  test.each([
    ['join', ['h']],
    ['join', []],
    ['join', 'h:1'],
  ])('refuses a wrong %s: %j', (name, value) => {
    const text = JSON.stringify({ ...JSON.parse(nodeConfigText(config)), [name]: value });
    expect(() => parseNodeConfig(text, 'it')).toThrow(/it: join is missing or wrong/);
  });

  test.each([0, 2 ** 21])('has no node of number %i', (id) => {
    const text = nodeConfigText({ ...config, nodeId: id, nodes: [{ id, host: 'h', ...own }] });
    expect(() => parseNodeConfig(text, 'it')).toThrow(/it: nodeId is missing or wrong/);
    expect(() => nodeNumber(`n${id}`)).toThrow(/is no node/);
    expect(nodeNumber('n2097151')).toBe(2_097_151);
  });

  test('of a node that joins lists nobody else', () => {
    const nodes = [...config.nodes, { id: 5, host: 'h', ...own }];
    const text = nodeConfigText({ ...config, nodes });
    expect(() => parseNodeConfig(text, 'it')).toThrow(/lists itself alone/);
  });
});

test.each([
  ['h:1', { host: 'h', port: 1 }],
  ['[fe80::1]:65535', { host: 'fe80::1', port: 65_535 }],
  ['fe80::1:9', undefined],
  ['h:0', undefined],
  ['h:65536', undefined],
  [':1', undefined],
  ['h', undefined],
])('%s as an address', (text, address) => {
  expect(joinAddress(text)).toEqual(address);
});

describe('cluster add', () => {
  const node = (id: number, isLive = true, host = '127.0.0.1') => ({
    id,
    isLive,
    address: `${host}:${9291 + id}`,
    ports: {
      kafkaPort: 9091 + id,
      amqpPort: 5671 + id,
      rocketmqPort: 8080 + id,
      httpPort: 9191 + id,
    },
  });
  const plan = (
    nodes: readonly ReturnType<typeof node>[],
    removedNodes: number[] = [],
    id?: number,
  ) =>
    planOf(
      { clusterId: 'c', nodes, removedNodes } as unknown as ApiCluster,
      { nodes: nodes.map(({ ports }) => ports) } as unknown as ApiStatus,
      id,
    );

  test('takes the next number, never that of a removed node, and names live members', () => {
    const found = plan([node(1), node(2, false), node(3)], [7]);
    expect(found).toMatchObject({ id: 8, join: ['127.0.0.1:9292', '127.0.0.1:9294'] });
    expect(plan([node(1)], [], 2).id).toBe(2);
    expect(() => plan([node(1)], [], 1)).toThrow(/member already/);
    expect(() => plan([node(1, false)])).toThrow(/no member is live/);
  });

  test('names ports only where the usual ones would not fit', () => {
    expect(plan([node(1), node(2)]).arguments).not.toContain('--kafka-port');
    // 3 was removed: its ports may be used by others by now.
    const words = plan([node(1), node(2)], [3]).arguments.join(' ');
    expect(words).toContain('--id 4 --data node-4 --kafka-port 9094');
    expect(plan([node(1, true, 'a.example')], [3]).arguments).not.toContain('--kafka-port');
  });

  test('prints the token nowhere', () => {
    const lines = addLines(plan([node(1)]), 'callboard', 'my folder', true).join('\n');
    expect(lines).toContain(`CALLBOARD_TOKEN="$(callboard cluster token --data 'my folder')"`);
    expect(addLines(plan([node(1)]), 'callboard', undefined, false).join('\n')).toContain(
      'CALLBOARD_TOKEN=TOKEN callboard server --join',
    );
  });
});

test('each refusal has an exit code of its own', async () => {
  const codes = {
    NODE_JOIN_TOKEN: EXIT.denied,
    NODE_JOIN_ID_TAKEN: EXIT.taken,
    NODE_JOIN_VERSION: EXIT.version,
    NODE_JOIN_UNREACHABLE: EXIT.unreachable,
    NODE_FOLDER_FOREIGN: EXIT.foreign,
    NODE_REMOVED: EXIT.removed,
  };
  for (const [code, exitCode] of Object.entries(codes)) expect(exitCodeOfNode(code)).toBe(exitCode);
  expect(new Set(Object.values(codes)).size).toBe(Object.keys(codes).length);
  expect(exitCodeOfNode('NODE_FAILED')).toBe(EXIT.failure);
  // The same of what a cluster answers: nobody else has everything of a log.
  const server = createServer((_request, response) => {
    const error = {
      code: 'CLUSTER_LAST_IN_SYNC',
      message: 'node 1 has the last in-sync replica of t-0',
    };
    response.writeHead(409, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await expect(
      new AdminClient([`http://127.0.0.1:${port}`]).drainNode(1, false),
    ).rejects.toMatchObject({
      code: 'CLUSTER_LAST_IN_SYNC',
      exitCode: EXIT.lastReplica,
    });
  } finally {
    server.close();
  }
});
