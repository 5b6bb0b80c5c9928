// `callboard consume NAME`: prints messages as they come, from where it is told, without a group.
import type { Command } from 'commander';
import type { ApiMessage, ApiMessagesQuery } from '../admin/api-types.ts';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import { integerIn } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';

/** How long one read waits for messages; a new one follows at once. */
const WAIT_MS = 5000;
const READ_MAX = 500;

interface ConsumeOptions extends RemoteOptions {
  readonly from: string;
  readonly partition?: number;
  readonly max?: number;
  readonly follow: boolean;
}

export function define(program: Command): void {
  const command = program
    .command('consume <name>')
    .description('print messages; goes on until interrupted, or as --max and --no-follow say');
  addRemoteOptions(command)
    .option('--from <where>', '`earliest`, `latest`, or an offset with --partition', 'latest')
    .option('--partition <n>', 'only this one', integerIn(0, 2 ** 31 - 1))
    .option('--max <n>', 'stop after so many', integerIn(1, Number.MAX_SAFE_INTEGER))
    .option('--no-follow', 'stop at the end')
    .action(async (name: string, options: ConsumeOptions) => {
      if (/^\d+$/.test(options.from) && options.partition === undefined) {
        throw usageFailure('--from with an offset needs --partition');
      }
      await consume(name, options);
    });
}

async function consume(name: string, options: ConsumeOptions): Promise<void> {
  const client = clientFor(options);
  let from = options.from;
  let left = options.max ?? Number.POSITIVE_INFINITY;
  let unread = 0;
  while (left > 0) {
    const query: ApiMessagesQuery = {
      from,
      max: Math.min(left, READ_MAX),
      waitMs: options.follow ? WAIT_MS : 0,
      ...(options.partition === undefined ? {} : { partition: options.partition }),
    };
    const { messages, next } = await client.messages(name, query);
    for (const message of messages) {
      print(message, options.json === true);
      if (message.note !== undefined) unread += 1;
    }
    left -= messages.length;
    if (messages.length === 0 && !options.follow) break;
    from =
      options.partition === undefined
        ? next.map((one) => `${one.partition}:${one.offset}`).join(',')
        : String(next.find((one) => one.partition === options.partition)?.offset ?? from);
  }
  if (unread > 0) {
    throw new CliFailure(`${unread} ${unread === 1 ? 'batch was' : 'batches were'} not shown`, {
      exitCode: EXIT.partial,
      code: 'CONSUME_PARTIAL',
      hint: 'A Kafka client reads them; this one shows plain and gzip batches.',
    });
  }
}

function print(message: ApiMessage, isJson: boolean): void {
  if (message.note !== undefined) {
    const { partition, offset, note } = message;
    process.stderr.write(`callboard: partition ${partition} up to offset ${offset}: ${note}\n`);
  }
  if (isJson) printJson(message);
  else if (message.note === undefined) {
    printLines([message.value ?? message.valueBase64 ?? '']);
  }
}
