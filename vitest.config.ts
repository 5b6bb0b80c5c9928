import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup/build.ts'],
    pool: 'forks',
    // Some files wait for processes, so no core need stay free for the runner.
    maxWorkers: '100%',
    // They end what hangs. How busy the machine is they must not judge: ten times slower is still right.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
