// The options that all commands on a running cluster share.
import type { Command } from 'commander';
import { AdminClient } from './client.ts';
import { clusterUrls } from './find-cluster.ts';
import { repeated } from './parse.ts';

export interface RemoteOptions {
  readonly url?: readonly string[];
  readonly data?: string;
  readonly json?: boolean;
}

export function addRemoteOptions(command: Command): Command {
  return command
    .option('--url <url>', "HTTP address of a node (repeatable); default: dev's own", repeated)
    .option('--data <dir>', 'data folder of the running `callboard dev`', undefined)
    .option('--json', 'machine-readable output');
}

export function clientFor(options: RemoteOptions): AdminClient {
  return new AdminClient(clusterUrls(options));
}

/** One JSON document on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLines(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
