import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { AMQP_PORT, BASE_PORT, planPorts, ROCKETMQ_PORT } from '../../src/cli/dev/ports.ts';

const servers: net.Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((done) => server.close(done))));
});

/** Takes the port, or finds that somebody else has it: taken either way. */
async function take(port: number): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => {
    server.once('error', () => resolve());
    server.listen(port, '127.0.0.1', () => {
      servers.push(server);
      resolve();
    });
  });
  return (server.address() as net.AddressInfo | null)?.port ?? port;
}

const wishes = { nodes: 3, host: 'localhost', isStrict: false };

describe('the ports of a cluster', () => {
  test('a default port that is taken moves the whole block, and the note says which and by whom', async () => {
    await take(BASE_PORT);
    const { nodes, note } = await planPorts(wishes);
    const base = nodes[0]?.kafkaPort ?? 0;
    expect(base).toBeGreaterThan(BASE_PORT);
    expect(nodes).toEqual(
      [0, 1, 2].map((i) => ({
        id: i + 1,
        host: '127.0.0.1',
        kafkaPort: base + i,
        httpPort: base + 100 + i,
        linkPort: base + 200 + i,
        amqpPort: base - BASE_PORT + AMQP_PORT + i,
        rocketmqPort: base - BASE_PORT + ROCKETMQ_PORT + i,
      })),
    );
    expect(note).toMatch(/^port \d+ is taken.*: all ports moved to \d+ and up$/);
  });

  test('with --strict-ports a taken default port is a failure with exit 5', async () => {
    await take(BASE_PORT);
    await expect(planPorts({ ...wishes, isStrict: true })).rejects.toMatchObject({
      exitCode: 5,
      code: 'DEV_PORT_TAKEN',
      message: expect.stringContaining(`port ${BASE_PORT} (Kafka of node 1) is taken`),
    });
  });

  test.each([
    ['kafkaPort', 'Kafka'],
    ['httpPort', 'HTTP'],
    ['amqpPort', 'AMQP'],
    ['rocketmqPort', 'RocketMQ'],
    ['basePort', 'Kafka'],
  ])('a taken %s that was asked for is never exchanged', async (option, use) => {
    const port = await take(0);
    await expect(planPorts({ ...wishes, [option]: port })).rejects.toMatchObject({
      exitCode: 5,
      message: expect.stringContaining(`port ${port} (${use} of node 1)`),
    });
  });

  test.each([
    ['AMQP', 'amqpPort', AMQP_PORT],
    ['RocketMQ', 'rocketmqPort', ROCKETMQ_PORT],
  ] as const)('%s has its usual port, and moves with the block', async (_name, field, usual) => {
    await take(usual);
    const { nodes, note } = await planPorts(wishes);
    const moved = (nodes[0]?.kafkaPort ?? 0) - BASE_PORT;
    expect(moved).toBeGreaterThan(0);
    expect(nodes[0]?.[field]).toBe(usual + moved);
    expect(note).toMatch(/all ports moved/);
  });

  test('with a base of its own the block is all above it', async () => {
    const base = await take(0);
    for (const server of servers.splice(0)) server.close();
    const { nodes } = await planPorts({ ...wishes, nodes: 1, basePort: base });
    expect(nodes[0]).toMatchObject({
      kafkaPort: base,
      amqpPort: base + 300,
      rocketmqPort: base + 400,
    });
  });

  test('base 0 gives every listener a free port of its own', async () => {
    const { nodes, note } = await planPorts({ ...wishes, nodes: 5, basePort: 0 });
    const ports = nodes.flatMap((node) => [
      node.kafkaPort,
      node.httpPort,
      node.linkPort,
      node.amqpPort,
      node.rocketmqPort,
    ]);
    expect(new Set(ports).size).toBe(25);
    expect(note).toBeUndefined();
  });

  test('an address that is not of this machine is named', async () => {
    await expect(planPorts({ ...wishes, host: '192.0.2.1', basePort: 0 })).rejects.toMatchObject({
      code: 'DEV_PORT_UNUSABLE',
      message: expect.stringContaining('EADDRNOTAVAIL'),
    });
  });
});
