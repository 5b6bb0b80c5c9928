// `callboard doctor`: can this machine keep what a broker promises? Measures the disk under a folder,
// looks at its file system and limits, and says which durability it carries. Exits 8 if nothing can be
// written there (read-only, full): a broker could not run there either.
import fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { descriptorsMax } from '../env/node/descriptors.ts';
import { createNodeEnvironment } from '../env/node/environment.ts';
import { DEFAULT_FOLDER } from './dev/folder.ts';
import { type DiskFigures, measureDisk } from './doctor/measure.ts';
import { mountOf } from './doctor/mount.ts';
import { type DiskFacts, judge, type Verdict } from './doctor/verdict.ts';
import { CliFailure, EXIT } from './failure.ts';
import { integerIn } from './parse.ts';
import { printJson, printLines } from './remote-options.ts';
import { sizeText, table } from './text.ts';

const SECONDS_MAX = 600;

interface DoctorOptions {
  readonly data: string;
  readonly seconds: number;
  readonly json?: boolean;
}

export function define(program: Command): void {
  program
    .command('doctor')
    .description('measure the disk, and say which durability it can carry')
    .option('--data <dir>', 'the data folder, or where it will be', DEFAULT_FOLDER)
    .option('--seconds <n>', 'how long to measure', integerIn(1, SECONDS_MAX), 3)
    .option('--json', 'machine-readable output')
    .action((options: DoctorOptions) => {
      const folder = existingFolder(options.data);
      const facts = factsOf(folder);
      const figures = measured(folder, facts, options.seconds);
      const verdict = judge(facts, figures);
      const { capabilities } = createNodeEnvironment({ logLevel: 'silent' });
      if (options.json === true) printJson({ folder, ...facts, figures, ...verdict, capabilities });
      else {
        printLines([
          ...diskLines(folder, figures),
          ...verdictLines(verdict),
          ...table(
            capabilities.map(({ name, isUsed, note }) => [name, isUsed ? 'used' : note]),
            '  ',
          ),
        ]);
      }
    });
}

/** The folder, or the nearest one above that exists: a broker would make it there. */
function existingFolder(path: string): string {
  let folder = resolve(path);
  while (!fs.existsSync(folder)) folder = dirname(folder);
  if (fs.statSync(folder).isDirectory()) return folder;
  throw new CliFailure(`${folder} is not a folder`, { exitCode: EXIT.usage, code: 'CLI_USAGE' });
}

function factsOf(folder: string): DiskFacts {
  const { bavail, blocks, bsize } = fs.statfsSync(folder);
  return {
    mount: mountOf(folder),
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
    filesMax: descriptorsMax(),
    preload: process.env['LD_PRELOAD'] ?? '',
  };
}

function measured(folder: string, { mount, freeBytes }: DiskFacts, seconds: number): DiskFigures {
  try {
    return measureDisk(folder, freeBytes, seconds);
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    const where = `${folder} (${mount.type} at ${mount.point})`;
    throw new CliFailure(`${where} cannot be measured: ${(error as Error).message}`, {
      exitCode: EXIT.unhealthy,
      code: `DOCTOR_${code}`,
      hint: 'A broker could not write there either: choose another folder with --data.',
      cause: error,
    });
  }
}

function diskLines(folder: string, figures: DiskFigures): string[] {
  const { syncBlock, syncGroup, randomRead, isReadFromDevice, hasDsync } = figures;
  const rate = (bytesPerS: number): string => `${sizeText(bytesPerS)}/s`;
  const readNote = isReadFromDevice ? '' : 'perhaps from memory: no O_DIRECT here';
  const syncNote = hasDsync ? 'O_DSYNC' : 'write and sync: no O_DSYNC here';
  const micros = ({
    p50Us,
    p99Us,
  }: {
    readonly p50Us: number;
    readonly p99Us: number;
  }): string[] => [`p50 ${p50Us} us`, `p99 ${p99Us} us`];
  return [
    `The disk under ${folder}, with a file of ${sizeText(figures.fileBytes)}:`,
    ...table(
      [
        ['sequential write', rate(figures.sequentialWriteBytesPerS), '', 'synced at the end'],
        ['sequential read', rate(figures.sequentialReadBytesPerS), '', readNote],
        ['random read, 4 KiB', ...micros(randomRead), readNote],
        ['durable write, 4 KiB', ...micros(syncBlock), syncNote],
        ['durable write, 64 x 1 KB', ...micros(syncGroup), syncNote],
      ],
      '  ',
    ),
  ];
}

function verdictLines({ findings, durabilityText, messagesPerS }: Verdict): string[] {
  return [
    ...table(
      findings.map(({ level, text }) => [level, text]),
      '  ',
    ),
    `It carries ${durabilityText}.`,
    `About ${messagesPerS} durable messages of 1 KB per second and shard with 64 publishers that wait.`,
  ];
}
