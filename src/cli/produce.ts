// `callboard produce NAME`: sends one message given as an option, or one per line of stdin.
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { ApiProduce, ApiProduced } from '../admin/api-types.ts';
import type { AdminClient } from './client.ts';
import { usageFailure } from './failure.ts';
import { integerIn, repeated } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';

interface ProduceOptions extends RemoteOptions {
  readonly key?: string;
  readonly value?: string;
  readonly header?: readonly string[];
  readonly partition?: number;
  readonly keySeparator?: string;
}

export function define(program: Command): void {
  const command = program
    .command('produce <name>')
    .description('send messages: --value, or one per line of standard input');
  addRemoteOptions(command)
    .option('--value <text>', 'the message; without it, lines are read from standard input')
    .option('--key <text>', 'the key of every message')
    .option('--key-separator <text>', 'each line is KEY separator VALUE')
    .option('--header <name=value>', 'a header of every message (repeatable)', repeated)
    .option('--partition <n>', 'instead of the one that the key chooses', integerIn(0, 2 ** 31 - 1))
    .action(async (name: string, options: ProduceOptions) => {
      if (options.value !== undefined && options.keySeparator !== undefined) {
        throw usageFailure('--key-separator is for lines; with --value give --key');
      }
      const client = clientFor(options);
      const common = commonParts(options);
      for await (const message of messagesOf(options)) {
        await sendOne(client, name, { ...common, ...message }, options.json === true);
      }
    });
}

function commonParts(options: ProduceOptions): Omit<ApiProduce, 'value'> {
  const headers: Record<string, string> = {};
  for (const text of options.header ?? []) {
    const at = text.indexOf('=');
    if (at < 1) throw usageFailure(`--header ${JSON.stringify(text)} is not NAME=VALUE`);
    headers[text.slice(0, at)] = text.slice(at + 1);
  }
  return {
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.header === undefined ? {} : { headers }),
    ...(options.partition === undefined ? {} : { partition: options.partition }),
  };
}

async function* messagesOf(options: ProduceOptions): AsyncGenerator<ApiProduce> {
  if (options.value !== undefined) {
    yield { value: options.value };
    return;
  }
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const separator = options.keySeparator;
    const at = separator === undefined ? -1 : line.indexOf(separator);
    if (separator === undefined || at < 0) yield { value: line };
    else yield { key: line.slice(0, at), value: line.slice(at + separator.length) };
  }
}

async function sendOne(
  client: AdminClient,
  name: string,
  message: ApiProduce,
  isJson: boolean,
): Promise<void> {
  const produced: ApiProduced = await client.produce(name, message);
  if (isJson) printJson(produced);
  else printLines([`${name}/${produced.partition} @ ${produced.offset}`]);
}
