// Loads a module of the application into this thread, also when it is TypeScript: a worker does not take over the
// loader that its parent runs under, so tsx is registered here where the application has it. Not here: what the
// module is for. Invariant: what cannot be loaded ends at once with words that say what to do.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export type Exports = Readonly<Record<string, unknown>>;

/** Extension of a compiled file -> those that its source may have, and back. */
const OTHERS: Readonly<Record<string, readonly string[]>> = {
  '.js': ['.ts', '.tsx'],
  '.mjs': ['.mts'],
  '.cjs': ['.cts'],
  '.ts': ['.js'],
  '.tsx': ['.js'],
  '.mts': ['.mjs'],
  '.cts': ['.cjs'],
};
const EXTENSION = /\.[cm]?[jt]sx?$/;
const TYPESCRIPT = /\.[cm]?tsx?$/;
const OF_TSX = /[\\/]tsx[\\/]/;
const INSTALL_TSX = 'install tsx beside it (npm install --save-dev tsx)';
const COMPILE = 'compile it, and start the compiled program';

/** Neither a module nor its source is there, or no loader for it. */
class ModuleLoadError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ModuleLoadError';
  }
}

/** True for TypeScript, and where only the source of a compiled file is there, or the other way round. */
export function needsLoader(url: URL): boolean {
  if (url.protocol !== 'file:') return false;
  const file = namesOf(url).find((each) => existsSync(each));
  return file !== undefined && (file !== fileURLToPath(url) || TYPESCRIPT.test(file));
}

/**
 * Imports a module with the loader that it needs.
 *
 * @throws ModuleLoadError if nothing is there or nothing loads it; else whatever the module throws.
 */
export async function importModule(url: URL): Promise<Exports> {
  if (url.protocol !== 'file:') return (await import(url.href)) as Exports;
  const names = namesOf(url);
  const file = names.find((each) => existsSync(each));
  if (file === undefined) {
    throw new ModuleLoadError(
      `there is no ${names.join(' or ')}. Name a module that is there, as in new URL('./actors.js', import.meta.url)`,
    );
  }
  const isTypeScript = TYPESCRIPT.test(file);
  const tsx = isTypeScript || isUnderTsx() ? findTsx(file) : undefined;
  if (tsx !== undefined) await registerTsx(tsx);
  const isAlone = isTypeScript && tsx === undefined;
  const compiled = isAlone && !stripsTypes() ? otherOf(file) : undefined;
  try {
    return (await import(pathToFileURL(compiled ?? file).href)) as Exports;
  } catch (error) {
    const advice = isAlone ? adviceFor(file, error) : undefined;
    throw advice === undefined ? error : new ModuleLoadError(advice, error);
  }
}

/** The file of the URL, and those that it is compiled from or to. */
function namesOf(url: URL): readonly string[] {
  const path = fileURLToPath(url);
  const extension = EXTENSION.exec(path)?.[0] ?? '';
  const stem = path.slice(0, path.length - extension.length);
  return [path, ...(OTHERS[extension] ?? []).map((each) => `${stem}${each}`)];
}

/** What the file is compiled from or to, if that is there. */
function otherOf(file: string): string | undefined {
  const [, ...others] = namesOf(pathToFileURL(file));
  return others.find((each) => existsSync(each));
}

function stripsTypes(): boolean {
  return (process.features as { readonly typescript?: unknown }).typescript !== undefined;
}

/** Options that the process was started with; a worker is told those of its parent. */
function startOptions(): readonly string[] {
  return [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)];
}

function isUnderTsx(): boolean {
  return startOptions().some((each) => each === 'tsx' || OF_TSX.test(each) || /=tsx$/.test(each));
}

/** Folder of the application's own tsx, else of the one that the process runs under. */
function findTsx(file: string): string | undefined {
  const running = startOptions()
    .map((each) => each.replace(/^--[a-z-]+=/, ''))
    .filter((each) => OF_TSX.test(each));
  for (const from of [file, pathToFileURL(`${process.cwd()}/`).href, ...running]) {
    try {
      return dirname(createRequire(from).resolve('tsx/package.json'));
    } catch {
      // Not known from there: the next place is asked.
    }
  }
  return undefined;
}

interface TsxPackage {
  readonly exports: Readonly<Record<string, { readonly import: { readonly default: string } }>>;
}

/** For `import` and for `require`. The form for modules of its API is taken: the other one does not find its parts. */
async function registerTsx(folder: string): Promise<void> {
  const text = readFileSync(join(folder, 'package.json'), 'utf8');
  const { exports } = JSON.parse(text) as TsxPackage;
  for (const name of ['./cjs/api', './esm/api']) {
    const path = exports[name]?.import?.default;
    if (path === undefined) {
      throw new ModuleLoadError(`${folder} has no ${name}: install tsx 4.8 or newer`);
    }
    const api = (await import(pathToFileURL(join(folder, path)).href)) as { register(): unknown };
    api.register();
  }
}

/** What to do about a TypeScript file that this Node cannot load alone. Undefined: the module itself has failed. */
function adviceFor(file: string, error: unknown): string | undefined {
  const { code, message } = error as NodeJS.ErrnoException;
  const text = String(message);
  const node = `Node.js ${process.versions.node}`;
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' || (!stripsTypes() && error instanceof SyntaxError)) {
    return `a worker thread cannot load ${file}: ${node} does not run TypeScript. Do one of these: ${INSTALL_TSX}; ${COMPILE}; use Node.js 22.18 or newer`;
  }
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return `a worker thread cannot load ${file}: ${node} only strips types, and this needs more (${text.split('\n')[0]}). Do one of these: ${INSTALL_TSX}; ${COMPILE}; write types that can be erased`;
  }
  const missing = /Cannot find module '([^']+\.[cm]?js)'/.exec(text)?.[1];
  if (code === 'ERR_MODULE_NOT_FOUND' && missing !== undefined && otherOf(missing) !== undefined) {
    return `a worker thread cannot load ${file}: ${node} does not look for the source of ${missing}. Do one of these: ${INSTALL_TSX}; ${COMPILE}; import it with its extension, .ts`;
  }
  return undefined;
}
