// `callboard actors profile` and `callboard actors heap`: files about one thread of one node, for the tools that
// read them. The node is asked itself, at the address that the cluster knows. A file that is there stays as it is.
import fs from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import { integerIn } from './parse.ts';
import { clientFor, printJson, printLines, type RemoteOptions } from './remote-options.ts';
import { sizeText } from './text.ts';

const SECONDS_MAX = 300;
const THREAD_MAX = 255;
/** Until a node has begun to answer, beside what it was asked to take. */
const PROFILE_SLACK_MS = 15_000;
/** The node gives up a thread that takes longer for a piece. */
const HEAP_SILENCE_MS = 130_000;

interface ThreadOptions extends RemoteOptions {
  readonly node?: number;
  readonly shard: number;
  readonly out?: string;
}

interface ProfileOptions extends ThreadOptions {
  readonly seconds: number;
}

/** What is fetched from a thread, and where it is written. */
interface Wanted {
  readonly path: string;
  readonly suffix: string;
  readonly silenceMs: number;
  readonly hint: string;
}

function addThreadOptions(command: Command): Command {
  return command
    .option(
      '--shard <n>',
      'its thread: a shard from 1, 0 for the main thread',
      integerIn(0, THREAD_MAX),
      0,
    )
    .option('--out <file>', 'the file to write; it must not be there yet')
    .configureHelp({ showGlobalOptions: true });
}

/** Which node, and where the cluster is, are options of `actors` itself. */
export function defineThreadControl(actors: Command): void {
  const optionsOf = <T extends ThreadOptions>(command: Command): T => {
    if (actors.getOptionValueSource('sample') === 'cli') {
      throw usageFailure(`--sample is not for ${command.name()}`);
    }
    return command.optsWithGlobals<T>();
  };
  addThreadOptions(actors.command('profile').description('write a CPU profile of one thread'))
    .option('--seconds <n>', 'how long it is watched', integerIn(1, SECONDS_MAX), 5)
    .action((_own: object, command: Command) => {
      const options = optionsOf<ProfileOptions>(command);
      return fetchFile(options, {
        path: `profile?seconds=${options.seconds}`,
        suffix: 'cpuprofile',
        silenceMs: options.seconds * 1_000 + PROFILE_SLACK_MS,
        hint: 'Open it in the performance panel of Chrome DevTools, or in an editor that reads .cpuprofile.',
      });
    });
  const heap = actors.command('heap');
  addThreadOptions(
    heap.description('write a heap snapshot of one thread, which stands still meanwhile'),
  ).action((_own: object, command: Command) =>
    fetchFile(optionsOf(command), {
      path: 'heap-snapshot',
      suffix: 'heapsnapshot',
      silenceMs: HEAP_SILENCE_MS,
      hint: 'Open it in the memory panel of Chrome DevTools.',
    }),
  );
}

async function fetchFile(options: ThreadOptions, wanted: Wanted): Promise<void> {
  const { node, client } = await clientFor(options).atNode(options.node);
  const thread = options.shard;
  const file = resolve(options.out ?? `node${node}-thread${thread}.${wanted.suffix}`);
  const separator = wanted.path.includes('?') ? '&' : '?';
  const path = `/api/threads/${thread}/${wanted.path}${separator}node=${node}`;
  const part = `${file}.part`;
  refuseKnown(file);
  const out = await openNew(part);
  let bytes = 0;
  try {
    bytes = await client.download(path, out, wanted.silenceMs);
    fs.renameSync(part, file);
  } finally {
    fs.rmSync(part, { force: true });
  }
  if (options.json === true) printJson({ node, thread, file, bytes });
  else printLines([`${file} (${sizeText(bytes)})`, wanted.hint]);
}

function refuseKnown(file: string): void {
  if (!fs.existsSync(file)) return;
  throw new CliFailure(`${file} is there already`, {
    exitCode: EXIT.usage,
    code: 'CLI_FILE_EXISTS',
    hint: 'Name another file with --out.',
  });
}

/**
 * Opened before anything is asked: who cannot write should not stop a thread. What an interrupted command left is
 * written over: it is nobody's.
 */
function openNew(file: string): Promise<fs.WriteStream> {
  return new Promise((opened, failed) => {
    const out = fs.createWriteStream(file);
    out.once('open', () => opened(out));
    out.once('error', (error: NodeJS.ErrnoException) => {
      failed(
        new CliFailure(`${file}: ${error.message}`, {
          exitCode: EXIT.failure,
          code: 'CLI_FILE_FAILED',
          hint: 'Name another file with --out.',
          cause: error,
        }),
      );
    });
  });
}
