// Threads in one call, from the built package: what a worker loads, and what it says when it cannot.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { RunningThreads, ThreadsOptions } from '../../dist/doors/actors.js';
import {
  actor,
  ask,
  createActorEnvironment,
  none,
  protocol,
  startThreads,
  u32,
  utf8,
} from '../../dist/doors/actors.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const runsTypeScript = (process.features as { typescript?: unknown }).typescript !== undefined;
const ignore = () => undefined;
const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const Counter = protocol('counter', 1, { sum: ask(none, u32) });
const CounterActor = actor(Counter, (_ctx, start: number) => ({ sum: () => start }), { args: u32 });
const actors = { Counter, CounterActor, notAnActor: 3 };

const IMPORTS = "import { actor, ask, none, protocol, u32, utf8 } from 'callboard/actors';\n";
const COUNTER = "export const Counter = protocol('counter', 1, { sum: ask(none, u32) });\n";
const MODULE = `${IMPORTS}${COUNTER}
export const notAnActor = 4;
export const CounterActor = actor(Counter, (_ctx, start) => ({ sum: () => start + 1 }), { args: u32 });
`;

let folder = '';
let running: RunningThreads | undefined;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'callboard-threads-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/callboard'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
});
afterEach(async () => {
  await running?.stop({ timeoutMs: 5_000 });
  running = undefined;
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes the files, the first is the manifest. */
function write(files: Readonly<Record<string, string>>): URL {
  const [first] = Object.keys(files);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return pathToFileURL(join(folder, first!));
}

async function start(
  manifest: URL,
  given: object = actors,
  more: Partial<ThreadsOptions> = {},
): Promise<RunningThreads> {
  const env = createActorEnvironment({ log: quiet });
  const options = { name: 'app', workers: 1, manifest, actors: given, ...more };
  running = await startThreads(env, options);
  return running;
}

async function sumOn(thread: number, { system }: RunningThreads): Promise<number> {
  const counter = system.spawn(`counter-${thread}`, CounterActor, 5, { thread });
  return await counter.ask('sum', undefined, { timeoutMs: 10_000 });
}

test('actors of the manifest run on a worker that nobody wrote a file for', async () => {
  const threads = await start(write({ 'plain.js': MODULE }));
  expect(await sumOn(1, threads)).toBe(6);
  expect(await sumOn(0, threads)).toBe(5);
});

test('a manifest may be CommonJS', async () => {
  const code = MODULE.replace(/import (\{.*\}) from '(.*)'/, "const $1 = require('$2')").replaceAll(
    'export const',
    'const',
  );
  const manifest = write({
    'plain.cjs': `${code}\nmodule.exports = Object.fromEntries([['Counter', Counter], ['CounterActor', CounterActor]]);`,
  });
  expect(await sumOn(1, await start(manifest))).toBe(6);
});

/** Stands for tsx, which is not installed here: finds x.ts behind x.js and takes the text as it is. */
function installTsx(at: string): void {
  const hooks = `
    export async function resolve(name, context, next) {
      return next(name.replace(/typed\\.js$/, 'typed.ts'), context);
    }
    export async function load(url, context, next) {
      if (!url.endsWith('.ts')) return next(url, context);
      const { source } = await next(url, { ...context, format: 'module' });
      return { format: 'module', shortCircuit: true, source: String(source).replace('as const', '') };
    }`;
  const code = (body: string) =>
    `import { register as add } from 'node:module'; export function register() { ${body} }`;
  const api = `add('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}));`;
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, 'esm.mjs'), code(api));
  writeFileSync(join(at, 'cjs.mjs'), code(''));
  const exports = {
    './package.json': './package.json',
    './esm/api': { import: { default: './esm.mjs' } },
    './cjs/api': { import: { default: './cjs.mjs' } },
  };
  writeFileSync(join(at, 'package.json'), JSON.stringify({ name: 'tsx', exports }));
}

const TYPED = { 'typed.ts': MODULE.replace('start + 1', '(start + 1 as const)') };

test('TypeScript is loaded with the tsx of the application, and its source is found behind .js', async () => {
  installTsx(join(folder, 'node_modules/tsx'));
  try {
    expect(await sumOn(1, await start(new URL('./typed.js', write(TYPED))))).toBe(6);
  } finally {
    rmSync(join(folder, 'node_modules/tsx'), { recursive: true });
  }
});

test('a manifest that is named as its source is found where it was compiled', async () => {
  write({ 'compiled.js': MODULE });
  expect(await sumOn(1, await start(pathToFileURL(join(folder, 'compiled.ts'))))).toBe(6);
});

test('what was compiled beside its source is taken where nothing loads the source', async () => {
  const manifest = write({ 'beside.ts': TYPED['typed.ts'], 'beside.js': MODULE });
  const started = start(manifest);
  // Node that strips types takes the source.
  expect(await sumOn(1, await started)).toBe(6);
});

test.skipIf(runsTypeScript)('TypeScript that nothing loads: the file, and what to do', async () => {
  const refused = start(new URL('./typed.js', write(TYPED)));
  await expect(refused).rejects.toThrow(
    /cannot load .*typed\.ts: Node\.js [\d.]+ does not run TypeScript\. Do one of these: install tsx .*; compile it.*; use Node\.js 22\.18/,
  );
});

const OTHER = `${IMPORTS}const Counter = protocol('counter', 2, { sum: ask(none, u32) });
export const CounterActor = actor(Counter, () => ({ sum: () => 1 }), { args: u32 });`;
const failures: readonly [string, Readonly<Record<string, string>>, RegExp][] = [
  ['no such file', {}, /there is no .*gone\.js or .*gone\.ts or .*gone\.tsx\. Name a module/],
  ['no actor', { 'a.js': `${IMPORTS}${COUNTER}` }, /a\.js exports no actor/],
  [
    'an actor is missing',
    { 'b.js': `${MODULE.replace('const CounterActor', 'const Renamed')}` },
    /b\.js as a worker .* does not fit .*: Renamed is exported here and not on thread 0/,
  ],
  [
    'other arguments',
    { 'c.js': MODULE.replace('args: u32', 'args: utf8') },
    /CounterActor takes arguments of utf8 here and arguments of u32 on thread 0/,
  ],
  [
    'another version of a protocol',
    { 'd.js': OTHER },
    /protocol counter has version 2 here and 1 there/,
  ],
  [
    'two protocols of one name',
    { 'e.js': `${MODULE}export const Other = protocol('counter', 2, {});` },
    /e\.js has two protocols named counter/,
  ],
  ['it leaves', { 'h.js': 'process.exit(3);' }, /did not boot from .*h\.js: it exited with code 3/],
  ['it throws', { 'f.js': 'throw new Error("not today");' }, /not today[\s\S]*f\.js/],
  ['an import is missing', { 'g.js': "import './nowhere.js';" }, /nowhere\.js[\s\S]*g\.js/],
];

test.each(failures)('a worker that cannot take part says why: %s', async (_what, files, says) => {
  const name = Object.keys(files)[0] ?? 'gone.js';
  const manifest = new URL(
    `./${name}`,
    write({ ...files, 'package.json': '{ "type": "module" }' }),
  );
  await expect(start(manifest)).rejects.toThrow(says);
});

test('a manifest that is never loaded to its end is named when the time is over', async () => {
  const manifest = write({ 'endless.js': 'await new Promise(() => undefined);' });
  const started = start(manifest, actors, { bootTimeoutMs: 300 });
  await expect(started).rejects.toThrow(/did not boot from .*endless\.js: not ready after 300 ms/);
});

test('what is given on this thread is checked before a thread starts', async () => {
  const manifest = write({ 'plain.js': MODULE });
  await expect(start('./plain.js' as unknown as URL)).rejects.toThrow('the manifest is a URL');
  await expect(start(manifest, { Counter })).rejects.toThrow('exports no actor');
  const Named = actor(Counter, () => ({ sum: () => 1 }), { args: utf8 });
  await expect(start(manifest, { CounterActor: Named })).rejects.toThrow('takes arguments of u32');
});
