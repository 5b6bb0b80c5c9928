// How a command fails: what happened, why, and what to do next, with an exit code that scripts know.

import { messageOf } from '../std/errors.ts';

/** The exit codes, printed by `callboard --help`. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  partial: 3,
  notFound: 4,
  taken: 5,
  denied: 6,
  unreachable: 7,
  unhealthy: 8,
  /** The folder is of another cluster or node. */
  foreign: 9,
  /** Nodes of one cluster are of one version. */
  version: 10,
  /** The node was taken out of the cluster. */
  removed: 11,
  /** What is asked for would leave the last in-sync replica behind. */
  lastReplica: 12,
  interrupted: 130,
} as const;

export const EXIT_TABLE = [
  'Exit codes:',
  '  0 ok              1 failure         2 wrong usage     3 partly done',
  '  4 not found       5 port or folder taken              6 not allowed',
  '  7 unreachable or timed out          8 unhealthy       9 folder of another cluster or node',
  '  10 other version  11 removed node   12 last in-sync replica           130 interrupted',
].join('\n');

export interface FailureParts {
  readonly exitCode: number;
  /** Stable, AREA_WHAT. */
  readonly code: string;
  /** The next step, as a sentence or a command. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** An expected failure of a command. Anything else that is thrown is a bug and shows its stack. */
export class CliFailure extends Error {
  readonly exitCode: number;
  readonly code: string;
  readonly hint: string | undefined;

  constructor(message: string, parts: FailureParts) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = 'CliFailure';
    this.exitCode = parts.exitCode;
    this.code = parts.code;
    this.hint = parts.hint;
  }
}

export function usageFailure(message: string, hint = 'See `callboard --help`.'): CliFailure {
  return new CliFailure(message, { exitCode: EXIT.usage, code: 'CLI_USAGE', hint });
}

/** The lines for stderr. */
export function describeFailure(error: unknown, showsStack: boolean): string {
  if (!(error instanceof CliFailure)) {
    return `callboard: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const lines = [`callboard: ${error.message} [${error.code}]`];
  if (error.hint !== undefined) lines.push(`  ${error.hint}`);
  if (showsStack && error.stack !== undefined) lines.push(error.stack);
  return `${lines.join('\n')}\n`;
}

/** Codes of a node that did not start because somebody has, or forbids, what it needs. */
const TAKEN: ReadonlySet<string> = new Set([
  'EADDRINUSE',
  'EROFS',
  'NODE_FOLDER_TAKEN',
  'NODE_FOLDER_UNWRITABLE',
  'NODE_JOIN_ID_TAKEN',
  'NODE_RUNS_TWICE',
  'STORAGE_LOCKED',
  'STORAGE_UNWRITABLE',
]);

/** Codes of a node that did not start because of how it was started: what to do about it is in the message. */
const USER_ERRORS: ReadonlySet<string> = new Set([
  ...TAKEN,
  'EACCES',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENOSPC',
  'ENOTDIR',
  'ENOTFOUND',
  'EPERM',
  'DURABLE_KINDS',
  'NODE_CONFIG_INVALID',
  'NODE_FOLDER_FOREIGN',
  'NODE_JOIN_REFUSED',
  'NODE_JOIN_TOKEN',
  'NODE_JOIN_UNREACHABLE',
  'NODE_JOIN_VERSION',
  'NODE_METADATA_LOST',
  'NODE_REMOVED',
  'NODE_ROLLED_BACK',
  'STORAGE_FULL',
  'STORAGE_NEWER_FORMAT',
  'STORAGE_NO_DESCRIPTORS',
  'STORAGE_WRONG_IDENTITY',
]);

/** What the log says of a node that did not start: all else than a user's error keeps its stack, and its causes. */
export function factsOfFailedStart(error: unknown): Readonly<Record<string, unknown>> {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  if (typeof code !== 'string') return { error };
  return USER_ERRORS.has(code) ? { code, why: messageOf(error) } : { code, error };
}

/** Codes that scripts tell apart, of nodes and of answers of the HTTP API. */
const EXIT_OF_CODE: Readonly<Record<string, number>> = {
  NODE_FOLDER_FOREIGN: EXIT.foreign,
  NODE_JOIN_REFUSED: EXIT.denied,
  NODE_JOIN_TOKEN: EXIT.denied,
  NODE_JOIN_UNREACHABLE: EXIT.unreachable,
  NODE_JOIN_VERSION: EXIT.version,
  NODE_REMOVED: EXIT.removed,
  CLUSTER_LAST_IN_SYNC: EXIT.lastReplica,
};

export function exitCodeOfCode(code: string | undefined): number | undefined {
  return code === undefined ? undefined : EXIT_OF_CODE[code];
}

/** Of a process or command whose node ended with this code. */
export function exitCodeOfNode(code: string | undefined): number {
  if (code !== undefined && TAKEN.has(code)) return EXIT.taken;
  return exitCodeOfCode(code) ?? EXIT.failure;
}

export function exitCodeOf(error: unknown): number {
  return error instanceof CliFailure ? error.exitCode : EXIT.failure;
}
