// `callboard ls`: the destinations of a running cluster.
import type { Command } from 'commander';
import type { ApiDestination } from '../admin/api-types.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { table } from './text.ts';

interface LsOptions extends RemoteOptions {
  readonly all?: boolean;
}

export function define(program: Command): void {
  addRemoteOptions(program.command('ls').description('list the destinations'))
    .option('--all', 'internal ones too')
    .action(async (options: LsOptions) => {
      const { destinations } = await clientFor(options).destinations();
      const shown = destinations.filter((one) => options.all === true || !one.isInternal);
      if (options.json === true) printJson({ destinations: shown });
      else if (shown.length === 0) process.stderr.write('no destinations yet\n');
      else
        printLines(
          table([
            ['NAME', 'TYPE', 'PARTITIONS', 'MESSAGES', 'IN SYNC', 'DURABILITY', 'POLICY'],
            ...shown.map(row),
          ]),
        );
    });
}

function row({ name, type, durability, policy, partitions }: ApiDestination): string[] {
  const isKnown = partitions.every((one) => one.highWatermark >= 0);
  const count = partitions.reduce((sum, one) => sum + one.highWatermark - one.startOffset, 0);
  const wanted = partitions.reduce(
    (sum, one) => sum + one.replicas.length - one.observers.length,
    0,
  );
  const inSync = partitions.reduce((sum, one) => sum + one.isr.length, 0);
  const failed = partitions.reduce((sum, one) => sum + one.failed.length, 0);
  const replicas = `${inSync}/${wanted}${failed > 0 ? `, ${failed} failed` : ''}`;
  const messages = isKnown ? String(count) : '?';
  const kind = [name, type, String(partitions.length)];
  return [...kind, messages, replicas, durability, policy ?? '-'];
}
