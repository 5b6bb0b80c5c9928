// The doors of the package for who embeds a part of it: what they load, who may use them, what they offer.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const IMPORT = /(?:^|\n)(?:import|export)\s[^'"]*?from\s*'([^']+)'|\bimport\('([^']+)'\)/g;

/** Files of dist, packages and built-in modules that a built module loads, directly or not. */
function loadedBy(door: string): Set<string> {
  const loaded = new Set<string>();
  const load = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    for (const [, from, lazily] of readFileSync(posix.join(root, file), 'utf8').matchAll(IMPORT)) {
      const target = from ?? lazily ?? '';
      if (target.startsWith('.')) load(posix.join(posix.dirname(file), target));
      else loaded.add(target);
    }
  };
  load(door);
  return loaded;
}

const ROOMS_OF_LOGS = /^dist\/(storage|records|replication|cluster)\//;
const ROOMS = /^dist\/(doors|actors|codec|env|std)\//;

test.each(['actors', 'actors-testkit'])('%s loads the runtime and no package', (door) => {
  const loaded = [...loadedBy(`dist/doors/${door}.js`)];
  expect(loaded.length).toBeGreaterThan(20);
  const others = loaded.filter((each) => !ROOMS.test(each) && !each.startsWith('node:'));
  expect(others).toEqual([]);
});

test('actors-shared loads what is in shared memory, and no runtime', () => {
  const loaded = [...loadedBy('dist/doors/actors-shared.js')];
  expect(loaded.length).toBeGreaterThan(5);
  // The head of a record is the runtime's, and names its ids; of Node it takes types, which are gone.
  const own =
    /^dist\/(doors\/|std\/|env\/|actors\/threads\/|actors\/re(cord|f)\.js|codec\/codec\.js)/;
  expect(loaded.filter((each) => !own.test(each))).toEqual([]);
});

test('durable loads the storage and the log host besides, and nothing of the broker', () => {
  const loaded = [...loadedBy('dist/doors/durable.js')];
  const others = loaded.filter((each) => !each.startsWith('node:') && !ROOMS.test(each));
  expect(others.length).toBeGreaterThan(20);
  expect(others.filter((each) => !ROOMS_OF_LOGS.test(each))).toEqual([]);
});

test('raft loads the core and no runtime', () => {
  const loaded = [...loadedBy('dist/doors/raft.js')];
  expect(loaded.length).toBeGreaterThan(10);
  expect(loaded.filter((each) => !/^dist\/(doors|raft|std)\//.test(each))).toEqual([]);
});

function node(...args: readonly string[]): string {
  return execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' }).trim();
}

const COUNT = `
  const { actor, ask, createActorEnvironment, createSystem, none, protocol, tell, u32 } = door;
  const Counter = protocol('counter', 1, { add: tell(u32), sum: ask(none, u32) });
  const CounterActor = actor(Counter, () => {
    let sum = 0;
    return { add: (n) => void (sum += n), sum: () => sum };
  });
  const system = createSystem(createActorEnvironment(), { name: 'app' });
  const counter = system.spawn('counter', CounterActor, undefined);
  for (let n = 1; n <= 10; n += 1) counter.tell('add', n);
  counter.ask('sum', undefined, { timeoutMs: 5000 }).then(async (sum) => {
    console.log(sum);
    await system.shutdown({ timeoutMs: 1000 });
  });
`;

test('an application uses the runtime from a module, and the process ends when it is done', () => {
  const code = `import * as door from 'callboard/actors';\n${COUNT}`;
  expect(node('--input-type=module', '-e', code)).toBe('55');
});

test('an application uses the runtime from CommonJS', () => {
  expect(node('-e', `const door = require('callboard/actors');\n${COUNT}`)).toBe('55');
});

test('the offer of the doors is the one that was read and agreed on', () => {
  const { status, stderr } = spawnSync(process.execPath, ['tools/api-report.mjs', '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

test('types of the doors are there for a strict application', () => {
  const fixture = 'test/fixtures/doors';
  expect(existsSync(posix.join(root, fixture, 'tsconfig.json'))).toBe(true);
  const tsc = posix.join(root, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', fixture], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});
