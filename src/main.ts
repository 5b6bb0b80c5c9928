// The program `callboard`: finds the command, loads its file and nothing else, and turns failures into
// sentences and exit codes. Composition root: it knows where the node module and the bin stub are.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { CliContext } from './cli/context.ts';

type Define = (program: Command, context: CliContext) => void;

/** One line per command: its name and the file that defines it. */
const COMMANDS: Readonly<Record<string, () => Promise<{ readonly define: Define }>>> = {
  dev: () => import('./cli/dev.ts'),
  server: () => import('./cli/server.ts'),
  ls: () => import('./cli/ls.ts'),
  produce: () => import('./cli/produce.ts'),
  consume: () => import('./cli/consume.ts'),
  find: () => import('./cli/find.ts'),
  status: () => import('./cli/status.ts'),
  topic: () => import('./cli/topic.ts'),
  policy: () => import('./cli/policy.ts'),
  user: () => import('./cli/user.ts'),
  vhost: () => import('./cli/vhost.ts'),
  permission: () => import('./cli/permission.ts'),
  cluster: () => import('./cli/cluster.ts'),
  actors: () => import('./cli/actors.ts'),
  doctor: () => import('./cli/doctor.ts'),
  inspect: () => import('./cli/inspect.ts'),
};

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function run(argv: readonly string[]): Promise<void> {
  const version = readVersion();
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    process.stdout.write(`${version}\n`);
    return;
  }
  const context: CliContext = {
    version,
    nodeEntry: new URL('./node-entry.js', import.meta.url).href,
    binPath: fileURLToPath(new URL('../bin/callboard.cjs', import.meta.url)),
  };
  const { Command, CommanderError } = await import('commander');
  const { describeFailure, EXIT, EXIT_TABLE, exitCodeOf } = await import('./cli/failure.ts');
  const program = new Command('callboard')
    .description(
      'A message broker cluster that starts with one command and speaks Kafka, AMQP 0-9-1 and RocketMQ.',
    )
    .version(version, '-V, --version')
    .option('--debug', 'show stacks of failures')
    .addHelpText('after', `\n${EXIT_TABLE}`)
    .showHelpAfterError('See `callboard --help`.')
    .exitOverride();
  const named = argv.find((word) => !word.startsWith('-'));
  const wanted = named === undefined ? undefined : COMMANDS[named];
  const loads = wanted === undefined ? Object.values(COMMANDS) : [wanted];
  for (const { define } of await Promise.all(loads.map((load) => load()))) define(program, context);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has already said it; asking for help or the version is no failure.
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      return;
    }
    process.stderr.write(describeFailure(error, program.opts()['debug'] === true));
    process.exitCode = exitCodeOf(error);
  }
}

// `callboard consume x | head` ends when head does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
await run(process.argv.slice(2));
