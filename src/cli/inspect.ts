// `callboard inspect`: what is in the data folder of a node that does not run, and in any of its files. Reads
// only: a store is recovered over a disk in memory, so the folder stays as it was left.
import fs from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { messageOf } from '../admin/shown-message.ts';
import { createNodeDisk } from '../env/node/disk.ts';
import { createNodeEnvironment, type NodeEnvironment } from '../env/node/environment.ts';
import { lockHolder } from '../env/node/lock.ts';
import { createMemoryDisk } from '../env/node/memory-disk.ts';
import {
  type FileLine,
  type FoundLog,
  fileLines,
  messagesOf,
  OverlayDisk,
  StoppedFolder,
  type StoredMessage,
} from '../inspect/ports.ts';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import { integerIn } from './parse.ts';
import { printJson, printLines } from './remote-options.ts';
import { sizeText, table } from './text.ts';

/** Lines that say that a start would refuse the file, or do without it. */
const UNSOUND: ReadonlySet<string> = new Set(['damage', 'unknown-version']);

interface InspectOptions {
  readonly node?: number;
  readonly topic?: string;
  readonly vhost: string;
  readonly partition?: number;
  readonly messages?: boolean;
  readonly json?: boolean;
}

export function define(program: Command): void {
  program
    .command('inspect')
    .description('show a file of a data folder, or what a node that does not run has in it')
    .argument('<path>', 'a file, the data folder of a node, or that of `callboard dev`')
    .option('--node <id>', 'which node, for a folder of `callboard dev`', integerIn(1, 2 ** 31 - 1))
    .option('--topic <name>', 'of this topic or queue only')
    .option('--vhost <name>', 'where it is', '/')
    .option('--partition <n>', 'of this partition only', integerIn(0, 2 ** 31 - 1))
    .option('--messages', 'the messages of --topic, one JSON document per line')
    .option('--json', 'machine-readable output')
    .action(async (path: string, options: InspectOptions) => {
      const at = resolve(path);
      const stat = fs.statSync(at, { throwIfNoEntry: false });
      if (stat === undefined) throw notFound(`there is no ${at}`);
      if (stat.isDirectory()) await inspectFolder(nodeFolder(at, options.node), options);
      else showFile(at, options.json === true);
    });
}

function showFile(path: string, isJson: boolean): void {
  const { crc32c } = createNodeEnvironment({ logLevel: 'silent' });
  let isDamaged = false;
  for (const line of fileLines(createNodeDisk(dirname(path)), basename(path), crc32c)) {
    isDamaged ||= UNSOUND.has(line.what) || line['sound'] === false;
    if (isJson) printJson(line);
    else printLines([textOf(line)]);
  }
  if (isDamaged) process.exitCode = EXIT.unhealthy;
}

/** `batch position=64 size=1024 ...`; text that has lines is shown as it is. */
function textOf({ what, ...fields }: FileLine): string {
  if (what === 'text') return String(fields['text']).trimEnd();
  const shown = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return `${name}=${text}`;
  });
  return [what, ...shown].join(' ');
}

/** The folder of one node: this one, or one of those that `callboard dev` has made in it. */
function nodeFolder(path: string, node: number | undefined): string {
  const names = fs.readdirSync(path).filter((name) => /^node-\d+$/.test(name));
  if (names.length === 0) return path;
  if (node === undefined) {
    throw usageFailure(`${path} has ${names.join(', ')}`, 'Say which one with --node.');
  }
  const name = `node-${node}`;
  if (!names.includes(name)) throw notFound(`${path} has ${names.join(', ')}, but no ${name}`);
  return join(path, name);
}

async function inspectFolder(path: string, options: InspectOptions): Promise<void> {
  if (options.messages === true && options.topic === undefined) {
    throw usageFailure('--messages needs --topic');
  }
  refuseRunning(path);
  const real = createNodeEnvironment({ logLevel: 'silent' });
  const disk = new OverlayDisk(createNodeDisk(path), createMemoryDisk());
  const env: NodeEnvironment = { ...real, crc32c: real.crc32c.bind(real), disk };
  let folder: StoppedFolder;
  try {
    folder = await StoppedFolder.open(env);
  } catch (error) {
    throw unreadable(error);
  }
  try {
    const logs = await logsOf(folder, options);
    if (options.messages === true) await showMessages(env, folder, logs);
    else showLogs(folder, logs, options.json === true);
  } finally {
    folder.close();
  }
}

function refuseRunning(path: string): void {
  const parts = fs.readdirSync(path).filter((name) => /^(meta|shard-\d{3})$/.test(name));
  for (const part of parts) {
    const holder = lockHolder(join(path, part, 'LOCK'));
    if (holder === undefined) continue;
    throw new CliFailure(`${path} is used by process ${holder.pid}`, {
      exitCode: EXIT.taken,
      code: 'INSPECT_RUNNING',
      hint: 'Stop the node first, or inspect a copy of the folder.',
    });
  }
}

interface Place {
  readonly vhost: string;
  readonly name: string;
  readonly kind: string;
  readonly partition: number;
  readonly logId: number;
  /** Undefined: nothing of it is on this node. */
  readonly found: FoundLog | undefined;
}

async function logsOf(folder: StoppedFolder, options: InspectOptions): Promise<Place[]> {
  const { topic, vhost, partition } = options;
  const named = topic === undefined ? undefined : folder.destination(vhost, topic);
  if (topic !== undefined && named === undefined) {
    throw notFound(`there is no ${JSON.stringify(topic)} in vhost ${JSON.stringify(vhost)}`);
  }
  const places: Place[] = [];
  for (const each of named === undefined ? folder.destinations() : [named]) {
    for (const [number, logId] of each.logIds.entries()) {
      if (partition !== undefined && number !== partition) continue;
      const { vhost: where, name, kind } = each;
      const found = await folder.log(logId);
      places.push({ vhost: where, name, kind, partition: number, logId, found });
    }
  }
  if (partition !== undefined && places.length === 0) {
    throw notFound(`there is no partition ${partition} of ${JSON.stringify(topic)}`);
  }
  return places;
}

function showLogs(folder: StoppedFolder, places: readonly Place[], isJson: boolean): void {
  const rows = places.map(({ found, ...place }) => ({
    ...place,
    ...(found === undefined
      ? { here: false }
      : {
          here: true,
          folder: found.folder,
          startOffset: found.stored.startOffset,
          endOffset: found.stored.endOffset,
          settledOffset: found.stored.settledOffset,
          committedSeq: found.stored.committedSeq,
          endSeq: found.stored.endSeq,
          epoch: found.stored.lastEpoch,
          segmentBytes: found.stored.segmentBytes,
          needsRepair: found.stored.needsRepair,
        }),
  }));
  if (isJson) {
    printJson({ uncommittedEntries: folder.uncommittedEntries, logs: rows });
    return;
  }
  const head = ['NAME', 'KIND', 'PART', 'LOG', 'OFFSETS', 'EPOCH', 'SETTLED', 'FOLDER'];
  printLines(
    table([
      head,
      ...places.map(({ name, kind, partition, logId, found }) => [
        name,
        kind,
        String(partition),
        String(logId),
        found === undefined ? '-' : `${found.stored.startOffset} to ${found.stored.endOffset}`,
        found === undefined ? '-' : String(found.stored.lastEpoch),
        found === undefined ? '-' : sizeText(found.stored.segmentBytes),
        found === undefined ? 'nothing here' : folderText(found),
      ]),
    ]),
  );
  if (folder.uncommittedEntries > 0) {
    const count = folder.uncommittedEntries;
    const text = 'of the metadata is not known to be committed by this folder alone';
    process.stderr.write(`callboard: the last of it (${count}) ${text}\n`);
  }
}

function folderText({ folder, stored }: FoundLog): string {
  return stored.needsRepair ? `${folder} (damaged)` : folder;
}

async function showMessages(
  env: NodeEnvironment,
  folder: StoppedFolder,
  places: readonly Place[],
): Promise<void> {
  let notes = 0;
  for (const { found } of places) {
    if (found === undefined) continue;
    for (const message of messagesOf(env, found, await folder.queueState(found))) {
      if (message.record.note !== undefined) notes += 1;
      printJson(documentOf(message));
    }
  }
  if (notes > 0) process.exitCode = EXIT.partial;
}

/** As `callboard consume --json` has it, and what only the folder tells. */
function documentOf({ record, committed, queue }: StoredMessage): object {
  return { ...messageOf(record), committed, ...queue };
}

function notFound(message: string): CliFailure {
  return new CliFailure(message, { exitCode: EXIT.notFound, code: 'INSPECT_NOT_FOUND' });
}

function unreadable(error: unknown): unknown {
  const { code, message } = error as { readonly code?: string; readonly message: string };
  if (code === undefined) return error;
  return new CliFailure(message, { exitCode: EXIT.failure, code, cause: error });
}
