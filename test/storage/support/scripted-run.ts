// A run of a store that does the same each time: appends, commits, truncations, states, checkpoints, releases,
// a clean stop and a second life. It can be cut at any operation on the disk.
import assert from 'node:assert/strict';
import { PowerRun } from './power-run.ts';

const SEED = 7;
const ACTS = 260;
/** Where the store is closed in order and opened again. */
const CLOSED_AFTER = 150;

interface Plan {
  readonly operation: number;
  readonly kind: 'power' | 'kill';
}

/** How many operations the whole run makes. */
export async function operationsOf(): Promise<number> {
  const run = new PowerRun(SEED);
  return script(run, undefined);
}

/** Runs the script up to an operation (from 1), cuts there, and checks what a start finds. */
export async function cutAt(operation: number, kind: 'power' | 'kill'): Promise<void> {
  const run = new PowerRun(SEED);
  const reached = await script(run, { operation, kind });
  assert.equal(reached, operation, 'the script does the same each time');
  run.checkFiles();
  await run.open();
  await run.check();
}

/** Answers how many operations were made. */
async function script(run: PowerRun, plan: Plan | undefined): Promise<number> {
  let operations = 0;
  let isCut = false;
  const isCutNow = (): boolean => {
    if (isCut) return false;
    operations += 1;
    if (operations !== plan?.operation) return false;
    isCut = true;
    run.cut(plan.kind);
    return true;
  };
  run.disk.onCall = (call) => (call !== 'read' && isCutNow() ? 'EIO' : undefined);
  run.disk.onEnd = () => void isCutNow();
  const attempt = async (work: () => Promise<void> | void): Promise<void> => {
    if (isCut) return;
    try {
      await work();
    } catch (error) {
      if (!isCut) throw error;
    }
  };
  await attempt(() => run.open());
  for (let act = 0; act < ACTS && !isCut; act += 1) {
    if (act === CLOSED_AFTER) {
      await attempt(() => run.close());
      await attempt(() => run.open());
    }
    await attempt(() => run.act());
    for (let events = act % 4; events > 0 && !isCut; events -= 1) run.world.step();
    if (act % 40 === 39) run.opened.store.checkpoint().catch(() => undefined);
    if (act % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await attempt(() => run.close());
  return operations;
}
