// The suites that start real clusters, one after the other: `npm run test:e2e`. The variable
// CALLBOARD_SHARDS says how many worker threads each node gets (default 0).
import { defineConfig } from 'vitest/config';

/** The life of `dev` over a node without a broker knows no worker threads: the run without them has it. */
const withoutBroker =
  (process.env['CALLBOARD_SHARDS'] ?? '0') === '0' ? ['test/cli/**/*.e2e.ts'] : [];

export default defineConfig({
  test: {
    include: ['test/e2e/**/*.e2e.ts', 'test/e2e/smoke.test.ts', ...withoutBroker],
    globalSetup: ['test/setup/build.ts'],
    pool: 'forks',
    fileParallelism: false,
    // Real processes on a machine that others may use: a failure must repeat to count.
    retry: 2,
    testTimeout: 60_000,
    hookTimeout: 90_000,
  },
});
