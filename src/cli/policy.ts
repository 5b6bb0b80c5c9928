// `callboard policy`: what is said of all queues and streams of which the name matches.
import type { Command } from 'commander';
import type { ApiPolicy } from '../admin/api-types.ts';
import { usageFailure } from './failure.ts';
import { oneOf, signedInteger } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { table } from './text.ts';

interface SetOptions extends RemoteOptions {
  readonly priority?: number;
  readonly applyTo?: string;
}

export function define(program: Command): void {
  const policy = program
    .command('policy')
    .description('list, set and delete policies: what goes for all queues and streams that match');
  addRemoteOptions(policy.command('list').description('list the policies')).action(list);
  addRemoteOptions(
    policy
      .command('set')
      .description('make a policy, or replace it')
      .argument('<name>', 'of the policy')
      .argument('<pattern>', 'a regular expression on names, such as "^orders\\."')
      .argument('<definition>', 'JSON, such as {"x-durability":"async"} or {"ha-mode":"all"}'),
  )
    .option('--priority <n>', 'the highest that matches counts (default: 0)', signedInteger)
    .option(
      '--apply-to <what>',
      'all, queues, classic_queues, quorum_queues or streams (default: all)',
      oneOf('all', 'queues', 'classic_queues', 'quorum_queues', 'streams'),
    )
    .action(set);
  addRemoteOptions(
    policy.command('delete').description('delete a policy').argument('<name>', 'of the policy'),
  ).action(remove);
}

async function list(options: RemoteOptions): Promise<void> {
  const policies = await clientFor(options).policies();
  if (options.json === true) printJson({ policies });
  else if (policies.length === 0) process.stderr.write('no policies yet\n');
  else {
    const head = ['NAME', 'PATTERN', 'APPLY TO', 'PRIORITY', 'DEFINITION'];
    printLines(table([head, ...policies.map(row)]));
    for (const { name, notes } of policies) {
      for (const note of notes) process.stderr.write(`note: ${name}: ${note}\n`);
    }
  }
}

function row(policy: ApiPolicy): string[] {
  const { name, pattern, priority, definition } = policy;
  return [name, pattern, policy['apply-to'], String(priority), JSON.stringify(definition)];
}

async function set(
  name: string,
  pattern: string,
  definition: string,
  options: SetOptions,
): Promise<void> {
  const client = clientFor(options);
  await client.putPolicy(name, {
    pattern,
    definition: parsedDefinition(definition),
    priority: options.priority ?? 0,
    'apply-to': options.applyTo ?? 'all',
  });
  const policy = await client.policy(name);
  for (const note of policy.notes) process.stderr.write(`note: ${note}\n`);
  if (options.json === true) {
    printJson(policy);
    return;
  }
  const { destinations } = await client.destinations();
  const own = destinations.filter(({ isInternal }) => !isInternal);
  const count = own.filter((each) => each.policy === name).length;
  printLines([`policy ${name} is set: ${count} of ${own.length} destinations have it`]);
}

function parsedDefinition(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw usageFailure(`${text} is no JSON`, 'As \'{"x-durability":"async"}\'');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw usageFailure(`${text} is no object`, 'As \'{"x-durability":"async"}\'');
}

async function remove(name: string, options: RemoteOptions): Promise<void> {
  await clientFor(options).deletePolicy(name);
  if (options.json === true) printJson({ deleted: name });
  else printLines([`policy ${name} is deleted`]);
}
