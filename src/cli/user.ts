// `callboard user`: who may log in, and with which tags. A password comes from the first line of stdin, where no list of
// processes shows it, or from an option.
import type { Command } from 'commander';
import { usageFailure } from './failure.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { table } from './text.ts';

interface PasswordOptions extends RemoteOptions {
  readonly password?: string;
}

interface AddOptions extends PasswordOptions {
  readonly tags?: string;
}

export function define(program: Command): void {
  const user = program
    .command('user')
    .description('list, add, change and delete users: who may log in by AMQP');
  addRemoteOptions(user.command('list').description('list the users')).action(list);
  addRemoteOptions(named(user, 'add', 'add a user; its password is the first line of stdin'))
    .option('--password <text>', 'instead of stdin; other users of this machine may see it')
    .option('--tags <words>', 'administrator, management; with a comma between them')
    .action(add);
  addRemoteOptions(named(user, 'passwd', 'give a user another password, the first line of stdin'))
    .option('--password <text>', 'instead of stdin; other users of this machine may see it')
    .action(passwd);
  addRemoteOptions(
    named(user, 'tags', 'give a user these tags and no others').argument('[tags...]', 'none: none'),
  ).action(tags);
  addRemoteOptions(named(user, 'delete', 'delete a user; its connections are closed')).action(
    remove,
  );
}

function named(user: Command, verb: string, description: string): Command {
  return user.command(verb).description(description).argument('<name>', 'of the user');
}

async function list(options: RemoteOptions): Promise<void> {
  const users = await clientFor(options).users();
  if (options.json === true) printJson({ users });
  else if (users.length === 0) process.stderr.write('no users\n');
  else {
    printLines(table([['NAME', 'TAGS'], ...users.map((each) => [each.name, shown(each.tags)])]));
  }
}

function shown(tags: readonly string[]): string {
  return tags.join(',') || '-';
}

async function add(name: string, options: AddOptions): Promise<void> {
  const client = clientFor(options);
  const users = await client.users();
  if (users.some((each) => each.name === name)) {
    throw usageFailure(`there is a user ${name}`, 'callboard user passwd gives it a password.');
  }
  const words = (options.tags ?? '').split(',').filter((word) => word !== '');
  await client.putUser(name, { password: await passwordOf(options), tags: words });
  await tell(options, name, `user ${name} is added; callboard permission set says what it may do`);
}

async function passwd(name: string, options: PasswordOptions): Promise<void> {
  const client = clientFor(options);
  await client.user(name);
  await client.putUser(name, { password: await passwordOf(options) });
  await tell(options, name, `user ${name} has another password`);
}

async function tags(name: string, words: readonly string[], options: RemoteOptions): Promise<void> {
  const client = clientFor(options);
  await client.user(name);
  await client.putUser(name, { tags: words });
  await tell(options, name, `user ${name} has the tags ${shown(words)}`);
}

async function remove(name: string, options: RemoteOptions): Promise<void> {
  await clientFor(options).deleteUser(name);
  if (options.json === true) printJson({ deleted: name });
  else printLines([`user ${name} is deleted`]);
}

async function tell(options: RemoteOptions, name: string, words: string): Promise<void> {
  if (options.json === true) printJson(await clientFor(options).user(name));
  else printLines([words]);
}

async function passwordOf({ password }: PasswordOptions): Promise<string> {
  const given = password ?? (await firstLine());
  if (given === '')
    throw usageFailure('a password is not empty', 'As: callboard user add NAME < file');
  return given;
}

async function firstLine(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('password: ');
  let text = '';
  for await (const part of process.stdin.setEncoding('utf8')) {
    text += String(part);
    if (text.includes('\n')) break;
  }
  return text.split(/\r?\n/)[0] ?? '';
}
