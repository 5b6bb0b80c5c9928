// What the doors really load when they are used: written down by hooks, and proven once more by a package that has
// nothing else. Every door of package.json is here; a new one is covered by its import at least.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const preload = join(root, 'test/fixtures/loads/preload.cjs');
const { exports, optionalDependencies } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
) as { exports: Record<string, unknown>; optionalDependencies: Record<string, string> };
const doors = Object.keys(exports)
  .filter((each) => each !== '.' && each !== './package.json')
  .map((each) => each.slice(2));

const RUNTIME = ['doors', 'actors', 'codec', 'env', 'std'];
const LOGS = ['storage', 'records', 'replication', 'cluster'];
const roomsOf = (door: string): string[] => {
  if (door === 'raft') return ['doors', 'raft', 'std'];
  return door === 'durable' ? [...RUNTIME, ...LOGS] : RUNTIME;
};

const COUNTER = `
  const { actor, ask, none, protocol, tell, u32, createActorEnvironment, createSystem } =
    await import('callboard/actors');
  const Counter = protocol('counter', 1, { add: tell(u32), sum: ask(none, u32) });
  const CounterActor = actor(Counter, () => {
    let sum = 0;
    return { add: (n) => void (sum += n), sum: () => sum };
  });`;
const CLOSE = 'listener.close(); links.close(); await threads.stop({ timeoutMs: 5000 });';
/** Door -> a program that uses it and prints 3. */
const USES: Readonly<Record<string, string>> = {
  actors: `${COUNTER}
    import { Links, startThreads } from 'callboard/actors';
    import * as actors from './actors.mjs';
    const manifest = new URL('./actors.mjs', import.meta.url);
    const env = createActorEnvironment();
    const threads = await startThreads(env, { name: 'app', workers: 1, manifest, actors });
    const links = new Links(threads.system, { clusterId: 'c', token: 't' });
    const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, () => undefined);
    const far = threads.system.spawn('far', actors.FarActor, 3, { thread: 1 });
    console.log(await far.ask('sum', undefined, { timeoutMs: 5000 }));
    ${CLOSE}`,
  'actors/testkit': `${COUNTER}
    import { fixture } from 'callboard/actors/testkit';
    const world = fixture(1);
    const counter = world.spawn('counter', CounterActor, undefined);
    counter.tell('add', 3);
    console.log(await world.ask(counter, 'sum', undefined));`,
  durable: `${COUNTER}
    import { durable, openDurableActors } from 'callboard/durable';
    const Sum = durable(protocol('sum', 1, { add: ask(u32, u32) }), {
      events: { added: u32 },
      state: u32,
      initial: () => 0,
      decide: { add: (sum, n) => ({ events: [{ type: 'added', value: n }], reply: sum + n }) },
      apply: { added: (sum, n) => sum + n },
    });
    const env = createActorEnvironment({ dataRoot: './data' });
    const system = createSystem(env, { name: 'app' });
    const kept = await openDurableActors(env, { kinds: [Sum] });
    const sum = kept.spawn(system, Sum, 'one');
    console.log(await sum.ask('add', 3, { timeoutMs: 5000 }));
    await kept.close();
    await system.shutdown({ timeoutMs: 1000 });`,
  raft: `
    import { configurationOf, createRaft, INITIAL_HARD_STATE, peerOf, RAFT_DEFAULTS } from 'callboard/raft';
    const self = peerOf(1, 1);
    const initial = { hardState: INITIAL_HARD_STATE, configuration: configurationOf([self]), entries: [] };
    const core = createRaft({ ...RAFT_DEFAULTS, self }, initial, { below: () => 0 });
    const step = (input) => {
      core.step(input, 1000);
      for (let ready = core.takeReady(); ready !== undefined; ready = core.takeReady()) {
        for (const { kind, data } of ready.committed) if (kind === 'command') console.log(data[0]);
        const attempt = ready.write?.attempt;
        if (attempt !== undefined) core.step({ kind: 'persisted', attempt }, 1000);
      }
    };
    step({ kind: 'tick' });
    step({ kind: 'propose', requestId: 1, data: Uint8Array.of(3) });`,
};
const FAR = `import { actor, ask, none, protocol, u32 } from 'callboard/actors';
  export const Far = protocol('far', 1, { sum: ask(none, u32) });
  export const FarActor = actor(Far, (_ctx, start) => ({ sum: () => start }), { args: u32 });`;

/** Or a part of one for this platform. */
const isOptional = (name: string): boolean =>
  Object.keys(optionalDependencies).some((each) => name === each || name.startsWith(`${each}-`));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'callboard-loads-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * An application with the package as it is installed, less the rooms that are not named. No other package is
 * there.
 */
function application(rooms: readonly string[]): string {
  const app = join(folder, rooms.join('-'));
  const packaged = join(app, 'node_modules/callboard');
  if (existsSync(app)) return app;
  mkdirSync(packaged, { recursive: true });
  cpSync(join(root, 'package.json'), join(packaged, 'package.json'));
  for (const room of rooms) {
    cpSync(join(root, 'dist', room), join(packaged, 'dist', room), {
      recursive: true,
      filter: (path) => !/\.(d\.ts|map)$/.test(path),
    });
  }
  // Nothing above this folder is asked what `callboard` is.
  writeFileSync(join(app, 'package.json'), '{ "private": true }');
  writeFileSync(join(app, 'actors.mjs'), FAR);
  return app;
}

function run(cwd: string, code: string, ...options: readonly string[]): string {
  writeFileSync(join(cwd, 'main.mjs'), code);
  const args = [...options, join(cwd, 'main.mjs')];
  return execFileSync(process.execPath, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, LOADS: join(cwd, 'loads') },
  }).trim();
}

const useOf = (door: string): string => USES[door] ?? `import 'callboard/${door}'; console.log(3);`;

test.each(doors)('%s does its work in a package that has only the rooms of that door', (door) => {
  expect(run(application(roomsOf(door)), useOf(door))).toBe('3');
});

test('a door does not work where one of its rooms is missing', () => {
  const app = application(RUNTIME);
  const code = `await import('callboard/durable').catch(({ code }) => console.log(code));`;
  expect(run(app, code)).toBe('ERR_MODULE_NOT_FOUND');
});

test.each(doors)('%s loads nothing but its rooms where everything is installed', (door) => {
  const app = join(root, 'dist', `.loads-${process.pid}-${door.replace('/', '-')}`);
  mkdirSync(app);
  try {
    writeFileSync(join(app, 'actors.mjs'), FAR);
    expect(run(app, useOf(door), '--require', preload)).toBe('3');
    const loaded = readFileSync(join(app, 'loads'), 'utf8').trim().split('\n');
    const files = loaded
      .filter((each) => !/^(node:|data:)/.test(each) && each.includes('/'))
      .map((each) => (each.startsWith('file:') ? fileURLToPath(each) : each))
      .filter((each) => !each.startsWith(app));
    const rooms = new Set<string>();
    const others: string[] = [];
    for (const file of files) {
      const room = file.startsWith(join(root, 'dist/'))
        ? file.slice(root.length).split('/')[1]
        : '';
      const ofPackage = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
      if (room !== undefined && room !== '') rooms.add(room);
      else if (ofPackage === undefined || !isOptional(ofPackage)) others.push(file);
    }
    expect(others).toEqual([]);
    expect([...rooms].filter((each) => !roomsOf(door).includes(each))).toEqual([]);
    expect(rooms).toContain('doors');
  } finally {
    rmSync(app, { recursive: true });
  }
});

test.each(doors)('%s offers CommonJS the same as modules', (door) => {
  const app = application(roomsOf(door));
  const code = `import { createRequire } from 'node:module';
    import * as asModule from 'callboard/${door}';
    const required = createRequire(import.meta.url)('callboard/${door}');
    const names = (each) => Object.keys(each).filter((name) => name !== '__esModule').sort().join();
    console.log(names(asModule) === names(required) && names(required).length > 0);`;
  expect(run(app, code)).toBe('true');
});
