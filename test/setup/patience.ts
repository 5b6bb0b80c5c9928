// For files whose tests wait for threads or compute for long: on a machine that many share they take ten times as long.
// A test that hangs is still found, later.
import { vi } from 'vitest';

/** For what a test waits for within itself; its own limit is further away. */
export const PATIENCE_MS = 100_000;

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
