// `npm run mutants`: how many runs it takes until each planted mistake is seen. Fails if one is not, or if the
// program without a mistake is blamed. A run is one power cut, with all that is checked behind it.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { bundle } from './bundle.mjs';

const CUTS_PER_SEED = 25;
const SUITES = { storage: './storage.mjs' };

if (isMainThread) await main();
else await detect(workerData);

async function main() {
  const { values } = parseArgs({
    options: {
      suite: { type: 'string', default: 'storage' },
      runs: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      only: { type: 'string' },
    },
  });
  const suite = SUITES[values.suite];
  if (suite === undefined) throw new Error(`no suite ${values.suite}: ${Object.keys(SUITES)}`);
  const { entry, mutants } = await import(suite);
  const wanted = mutants.filter(({ name }) => name.includes(values.only ?? ''));
  const limits = { runsMax: Number(values.runs), from: Number(values.from) };
  const tasks = [undefined, ...wanted];
  const found = [];
  let next = 0;
  const lane = async () => {
    while (next < tasks.length) {
      const at = next;
      next += 1;
      const result = await inWorker({ entry, mutant: tasks[at], ...limits });
      found[at] = result;
      const { name = '(no mistake)', isRare } = tasks[at] ?? {};
      console.log(
        `${String(result.runs ?? '-').padStart(6)} runs  ${name}${isRare ? ' (rare)' : ''}${note(result)}`,
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, lane));
  const missed = wanted.filter(
    ({ isRare }, i) => isRare !== true && found[i + 1].runs === undefined,
  );
  const counts = found.slice(1).flatMap(({ runs }) => runs ?? []);
  const median = counts.sort((a, b) => a - b)[Math.floor(counts.length / 2)];
  const seen = `${counts.length} of ${wanted.length} mistakes seen`;
  console.log(`mutants: ${seen}, median after ${median} runs, limit ${limits.runsMax}`);
  if (found[0].runs !== undefined) console.log(`mutants: the sound program was blamed`);
  if (missed.length > 0 || found[0].runs !== undefined) process.exitCode = 1;
}

function note({ message }) {
  return message === undefined ? '' : `: ${message.split('\n')[0].slice(0, 90)}`;
}

function inWorker(task) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** Tells after how many runs the program was found out; no `runs` if it was not. */
async function detect({ entry, mutant, runsMax, from }) {
  const program = await bundle(entry, mutant);
  let answer = {};
  // What fails beside the run's own promise is found out too.
  const blame = (error) => {
    answer = { runs: 0, message: String(error?.message ?? error) };
  };
  process.on('uncaughtException', blame);
  process.on('unhandledRejection', blame);
  try {
    const { powerRun } = await import(program.url);
    // The program without a mistake is tried with as much as most of the others need.
    const limit = mutant === undefined ? Math.min(runsMax, 250) : runsMax;
    for (let runs = 0; runs < limit && answer.message === undefined; runs += CUTS_PER_SEED) {
      const seed = from + runs / CUTS_PER_SEED;
      let seen = 0;
      try {
        await powerRun(seed, CUTS_PER_SEED, () => {
          seen += 1;
        });
      } catch (error) {
        answer = { message: String(error?.message ?? error) };
      }
      if (answer.message !== undefined) answer.runs = runs + seen;
    }
  } finally {
    await program.remove();
  }
  parentPort.postMessage(answer);
}
