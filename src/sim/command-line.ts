// What `npm run sim -- ...` understands, and nothing else: an option that is not known is an error.

export interface SimOptions {
  readonly scenario: string | undefined;
  readonly seeds: number;
  /** The first seed; undefined draws a fresh one. */
  readonly from: number | undefined;
  readonly bug: string | undefined;
  /** Names all scenarios, and runs none. */
  readonly isList: boolean;
  /** Stops after so many real minutes, whatever `seeds` says. */
  readonly minutes: number | undefined;
  readonly isVerbose: boolean;
  /** Goes on after a failing seed. */
  readonly keepGoing: boolean;
  /** Runs every seed twice and compares the traces. */
  readonly isTwice: boolean;
}

export const USAGE = [
  'npm run sim -- [--scenario NAME] [--seeds N] [--from SEED] [--bug NAME]',
  '               [--minutes M] [--twice] [--keep-going] [--verbose]',
  'npm run sim -- --list',
].join('\n');

const SEED_LIMIT = 2 ** 48;
const FLAGS = ['--verbose', '--keep-going', '--twice', '--list'];

/** The options, or a sentence about what is wrong with them. */
export function parseSimArguments(argv: readonly string[]): SimOptions | string {
  const values = new Map<string, string>();
  const flags = new Set<string>();
  for (let i = 0; i < argv.length; i += 1) {
    const name = argv[i]!;
    if (FLAGS.includes(name)) flags.add(name);
    else if (['--scenario', '--seeds', '--from', '--bug', '--minutes'].includes(name)) {
      const value = argv[i + 1];
      if (value === undefined || value.startsWith('--')) return `${name} needs a value`;
      values.set(name, value);
      i += 1;
    } else return `unknown option ${name}`;
  }
  const seeds = count(values.get('--seeds') ?? '200', 1);
  if (seeds === undefined) return '--seeds needs a whole number of at least 1';
  const from = values.has('--from') ? count(values.get('--from')!, 0) : undefined;
  if (values.has('--from') && from === undefined) return '--from needs a whole number below 2^48';
  const minutes = values.has('--minutes') ? Number(values.get('--minutes')) : undefined;
  if (minutes !== undefined && !(minutes > 0)) return '--minutes needs a positive number';
  return {
    scenario: values.get('--scenario'),
    seeds,
    from,
    bug: values.get('--bug'),
    minutes,
    isList: flags.has('--list'),
    isVerbose: flags.has('--verbose'),
    keepGoing: flags.has('--keep-going'),
    isTwice: flags.has('--twice'),
  };
}

function count(text: string, least: number): number | undefined {
  const value = Number(text);
  return Number.isInteger(value) && value >= least && value < SEED_LIMIT ? value : undefined;
}
