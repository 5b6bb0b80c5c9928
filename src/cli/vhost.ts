// `callboard vhost`: names apart from those of others, for AMQP.
import type { Command } from 'commander';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';

export function define(program: Command): void {
  const vhost = program.command('vhost').description('list, add and delete vhosts of AMQP');
  addRemoteOptions(vhost.command('list').description('list the vhosts')).action(list);
  addRemoteOptions(
    vhost.command('add').description('add a vhost').argument('<name>', 'of the vhost'),
  ).action(add);
  addRemoteOptions(
    vhost
      .command('delete')
      .description('delete a vhost with all that is in it')
      .argument('<name>', 'of the vhost'),
  ).action(remove);
}

async function list(options: RemoteOptions): Promise<void> {
  const vhosts = await clientFor(options).vhosts();
  if (options.json === true) printJson({ vhosts });
  else printLines(vhosts.map(({ name }) => name));
}

async function add(name: string, options: RemoteOptions): Promise<void> {
  await clientFor(options).putVhost(name);
  if (options.json === true) printJson({ added: name });
  else printLines([`vhost ${name} is there; callboard permission set says who may use it`]);
}

async function remove(name: string, options: RemoteOptions): Promise<void> {
  await clientFor(options).deleteVhost(name);
  if (options.json === true) printJson({ deleted: name });
  else printLines([`vhost ${name} is deleted`]);
}
