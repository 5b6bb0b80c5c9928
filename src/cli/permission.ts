// `callboard permission`: what users may do in vhosts, by three patterns on names.
import type { Command } from 'commander';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { table } from './text.ts';

interface VhostOptions extends RemoteOptions {
  readonly vhost: string;
}

export function define(program: Command): void {
  const permission = program
    .command('permission')
    .description('list, set and clear permissions: what a user may do in a vhost');
  addRemoteOptions(permission.command('list').description('list the permissions')).action(list);
  addRemoteOptions(
    permission
      .command('set')
      .description('give a user these rights in a vhost, and no others')
      .argument('<user>', 'its name')
      .argument('<configure>', 'a regular expression on names, such as "^mine\\."; "" for none')
      .argument('<write>', 'the same')
      .argument('<read>', 'the same'),
  )
    .option('--vhost <name>', 'where', '/')
    .action(set);
  addRemoteOptions(
    permission
      .command('clear')
      .description('take the rights of a user in a vhost away')
      .argument('<user>', 'its name'),
  )
    .option('--vhost <name>', 'where', '/')
    .action(clear);
}

async function list(options: RemoteOptions): Promise<void> {
  const permissions = await clientFor(options).permissions();
  if (options.json === true) printJson({ permissions });
  else if (permissions.length === 0) process.stderr.write('no permissions\n');
  else {
    const rows = permissions.map(({ user, vhost, configure, write, read }) => {
      return [user, vhost, ...[configure, write, read].map((pattern) => JSON.stringify(pattern))];
    });
    printLines(table([['USER', 'VHOST', 'CONFIGURE', 'WRITE', 'READ'], ...rows]));
  }
}

async function set(
  user: string,
  configure: string,
  write: string,
  read: string,
  options: VhostOptions,
): Promise<void> {
  const { vhost } = options;
  const permission = { user, vhost, configure, write, read };
  await clientFor(options).putPermission(permission);
  if (options.json === true) printJson(permission);
  else printLines([`user ${user} has these rights in ${vhost}`]);
}

async function clear(user: string, options: VhostOptions): Promise<void> {
  const { vhost } = options;
  await clientFor(options).deletePermission(user, vhost);
  if (options.json === true) printJson({ cleared: { user, vhost } });
  else printLines([`user ${user} has no rights in ${vhost}`]);
}
