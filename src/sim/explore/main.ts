// The command behind `npm run raft:explore`: visits every state of each scope and prints how many there are. Exit code 0
// if no rule of Raft broke in any and all was visited, 1 if not, 2 for bad options.
import { type Explored, explore } from './explore.ts';
import { SCOPES, type Scope } from './scopes.ts';

const USAGE = 'npm run raft:explore -- [--scope NAME] [--states-max N] [--verbose]';
const COUNT = new Intl.NumberFormat('en');

function main(argv: readonly string[]): number {
  let scopes = SCOPES;
  let statesMax = Number.POSITIVE_INFINITY;
  let isVerbose = false;
  for (let i = 0; i < argv.length; i += 1) {
    if (argv[i] === '--verbose') {
      isVerbose = true;
    } else if (argv[i] === '--scope') {
      i += 1;
      scopes = SCOPES.filter(({ name }) => name === argv[i]);
      const known = SCOPES.map(({ name }) => name).join(', ');
      if (scopes.length === 0) return refuse(`unknown scope ${argv[i]}; known: ${known}`);
    } else if (argv[i] === '--states-max') {
      i += 1;
      statesMax = Number(argv[i]);
      if (!Number.isInteger(statesMax) || statesMax < 1)
        return refuse('--states-max needs a count');
    } else {
      return refuse(`unknown option ${argv[i]}`);
    }
  }
  let isClean = true;
  for (const scope of scopes) {
    const explored = run(scope, statesMax, isVerbose);
    isClean &&= explored.isComplete && explored.broken === undefined;
  }
  return isClean ? 0 : 1;
}

function run({ name, what, bounds }: Scope, statesMax: number, isVerbose: boolean): Explored {
  print(`${name}: ${what}`);
  const startedMs = performance.now();
  const explored = explore(bounds, {
    statesMax,
    onLevel: (depth, states, wide) => {
      if (isVerbose)
        print(`  ${depth} acts deep, ${COUNT.format(states)} states, ${wide} at the edge`);
    },
  });
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0);
  const { states, acts, depth, commits, peers, steps, isComplete, broken } = explored;
  const end =
    broken ?? (isComplete ? 'all of them, no rule broken' : 'NOT ALL: the limit ended it');
  print(
    `  ${COUNT.format(states)} states (${COUNT.format(commits)} with something committed), ` +
      `${COUNT.format(acts)} acts, ${depth} deep; ${COUNT.format(peers)} states of single peers, ` +
      `${COUNT.format(steps)} steps of cores; ${seconds} s: ${end}`,
  );
  if (broken !== undefined) {
    const { history } = explore(bounds, { statesMax, keepsHistory: true });
    for (const act of history) print(`    ${act}`);
  }
  return explored;
}

function refuse(why: string): number {
  process.stderr.write(`${why}\n${USAGE}\n`);
  return 2;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = main(process.argv.slice(2));
