/** For what a test waits for within itself, on a machine that many share; the limit of a test is further away. */
export const PATIENCE_MS = 100_000;
