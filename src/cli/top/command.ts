// `callboard actors top`: what the actors of a cluster, or of a process that has opened its door of inspection,
// are doing, again and again. On a terminal a screen with keys; else lines; `--once` and `--json` for scripts.
import type { Command } from 'commander';
import type { ApiInspection } from '../../admin/api-types.ts';
import { AdminClient, InspectionClient } from '../client.ts';
import { EXIT, usageFailure } from '../failure.ts';
import { clusterUrls } from '../find-cluster.ts';
import { oneOf } from '../parse.ts';
import { printJson, printLines, type RemoteOptions } from '../remote-options.ts';
import { parseDurationMs } from '../text.ts';
import type { Shape, SortKey } from './rows.ts';
import { Screen } from './screen.ts';
import type { TopState } from './view.ts';
import { pressed, scrollMax, topLines } from './view.ts';

interface TopOptions extends RemoteOptions {
  readonly node?: number;
  readonly attach?: string;
  readonly token?: string;
  readonly every: number;
  readonly sort: SortKey;
  readonly shape: Shape;
  readonly once?: boolean;
}

const EVERY_MS = { min: 100, max: 10_000, usual: 1_000 };
const COLUMNS_OF_A_PIPE = 1_000;

/** Which cluster, and which of its nodes, are options of `actors` itself. */
export function defineTop(actors: Command): void {
  actors
    .command('top')
    .description('show what actors are doing, every second')
    .option('--attach <url>', 'a process that has called system.inspect(), instead of a cluster')
    .option('--token <token>', 'of its door, if that wants one; or CALLBOARD_INSPECT_TOKEN')
    .option('--every <time>', 'how often; rates are over this time', everyMs, EVERY_MS.usual)
    .option(
      '--sort <key>',
      'depth, rate, restarts, slow',
      oneOf('depth', 'rate', 'restarts', 'slow'),
      'depth',
    )
    .option(
      '--shape <shape>',
      'classes, actors, tree',
      oneOf('classes', 'actors', 'tree'),
      'classes',
    )
    .option('--once', 'print everything once, and end')
    .configureHelp({ showGlobalOptions: true })
    .action((_own: object, command: Command) => {
      if (actors.getOptionValueSource('sample') === 'cli') {
        throw usageFailure('--sample is not for top: its rates are over --every');
      }
      return top(command.optsWithGlobals<TopOptions>());
    });
}

function everyMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined && ms >= EVERY_MS.min && ms <= EVERY_MS.max) return ms;
  throw usageFailure(`--every ${text} is not a time from 100ms to 10s`);
}

type Look = (signal?: AbortSignal) => Promise<ApiInspection>;

async function top(options: TopOptions): Promise<void> {
  const look = lookOf(options);
  const state: TopState = { sort: options.sort, shape: options.shape, scroll: 0, isPaused: false };
  const print = (seen: ApiInspection): void => {
    if (options.json === true) printJson(seen);
    else {
      const size = { columns: COLUMNS_OF_A_PIPE, rows: Number.POSITIVE_INFINITY };
      printLines(topLines(seen, size, state).map(({ text }) => text.trimEnd()));
    }
  };
  if (options.once === true) {
    print(await look());
    return;
  }
  const { stdout, stdin } = process;
  if (!stdout.isTTY || options.json === true) {
    for (;;) {
      print(await look());
      if (options.json !== true) printLines(['']);
    }
  }
  await onScreen(
    look,
    state,
    (events) => new Screen(stdout, stdin.isTTY ? stdin : undefined, events),
  );
}

function lookOf(options: TopOptions): Look {
  const { attach, every } = options;
  if (attach === undefined) {
    if (options.token !== undefined) throw usageFailure('--token is for --attach');
    const client = new AdminClient(clusterUrls(options));
    return (signal) => client.inspection(options.node, every, signal);
  }
  for (const name of ['url', 'data', 'node'] as const) {
    if (options[name] !== undefined) throw usageFailure(`--${name} is not for --attach`);
  }
  const token = options.token ?? process.env['CALLBOARD_INSPECT_TOKEN'];
  const client = new InspectionClient(attach, token);
  return (signal) => client.inspection(every, signal);
}

/** Until somebody ends it. @throws CliFailure when what is looked at is gone. */
async function onScreen(
  look: Look,
  initial: TopState,
  open: (events: ConstructorParameters<typeof Screen>[2]) => Screen,
): Promise<void> {
  let state = initial;
  let seen: ApiInspection | undefined;
  const end = new AbortController();
  const draw = (): void => {
    if (seen !== undefined) screen.draw(topLines(seen, screen.size, state));
  };
  const screen = open({
    onKey: (key) => {
      if (key === 'q') end.abort();
      state = pressed(key, state, seen === undefined ? 0 : scrollMax(seen, state));
      draw();
    },
    onResize: draw,
    onInterrupt: () => {
      process.exitCode = EXIT.interrupted;
      end.abort();
    },
  });
  screen.open();
  try {
    while (!end.signal.aborted) {
      const next = await look(end.signal);
      if (!state.isPaused) seen = next;
      draw();
    }
  } catch (error) {
    if (!end.signal.aborted) throw error;
  } finally {
    screen.close();
  }
}
