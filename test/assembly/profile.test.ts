// The profile that a node is started with becomes the cluster's: shown, in force where nothing was set, and exchanged by
// whoever runs the cluster. An unknown one is refused by a node and by a cluster alike.
import { afterEach, expect, test } from 'vitest';
import type { ApiCluster } from '../../src/admin/api-types.ts';
import { refuseConfig } from '../../src/assembly/node-config.ts';
import { infoLines } from '../../src/cli/cluster.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const LAG = 'replica.lag.max.messages';

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

async function started(profile?: string): Promise<TestCluster> {
  cluster = await testCluster({ nodes: 1, ...(profile === undefined ? {} : { profile }) });
  await cluster.ready();
  return cluster;
}

async function call(path: string, body?: object): Promise<ApiCluster & { error?: object }> {
  const { host, httpPort } = cluster!.addresses[0]!;
  const answer = await fetch(`http://${host}:${httpPort}/api/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (await answer.json()) as ApiCluster;
}

test('classic-kafka bounds what is missing by records; what is set goes before it', async () => {
  await started('classic-kafka');
  let shown = await call('cluster');
  while (shown.profile === 'default') shown = await call('cluster');
  expect(shown).toMatchObject({ profile: 'classic-kafka', settings: { [LAG]: 4_000 } });
  expect(infoLines(shown).join()).toContain(`profile=classic-kafka`);
  const set = (name: string, value: string | null) => call('cluster/settings', { name, value });
  expect((await set(LAG, '7')).settings[LAG]).toBe(7);
  expect((await set(LAG, null)).settings[LAG]).toBe(4_000);
  expect((await set('profile', 'modern')).error).toMatchObject({
    code: 'CLUSTER_INVALID_CONFIG',
    message: 'there is no profile "modern": there are default, classic-kafka',
  });
  expect(await set('profile', 'default')).toMatchObject({ profile: 'default' });
  expect((await call('cluster')).settings[LAG]).toBe(0);
});

test('without one it is the default, and an unknown one is refused by name', async () => {
  await started();
  expect(await call('cluster')).toMatchObject({ profile: 'default', settings: { [LAG]: 0 } });
  const config = { nodeId: 1, nodes: [{ id: 1 }], profile: 'modern' };
  expect(refuseConfig(config as never)).toBe(
    'there is no profile "modern": there are default, classic-kafka',
  );
});
