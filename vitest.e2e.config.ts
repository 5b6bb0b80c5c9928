// The suites that start real clusters, one after the other: `npm run test:e2e`. The variable
// CALLBOARD_SHARDS says how many worker threads each node gets (default 0).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/e2e/**/*.e2e.ts', 'test/e2e/smoke.test.ts'],
    globalSetup: ['test/setup/build.ts'],
    pool: 'forks',
    fileParallelism: false,
    // Real processes on a machine that others may use: a failure must repeat to count.
    retry: 2,
    testTimeout: 60_000,
    hookTimeout: 90_000,
  },
});
