// THE WALLS, and the few rules of style a formatter cannot see. Think hard before adding an arrow:
// each one makes something harder to simulate or to embed. Run by `npm run tidy` and by test/tidy.test.ts.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unusedExports } from './exports.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** Room -> rooms it may import. 'x:ports' allows only that room's ports.ts; 'node' any node: or npm module. */
export const WALLS = {
  std: [],
  env: ['std'],
  'env/node': ['std', 'env', 'node', 'npm'],
  records: ['std'],
  codec: ['std'],
  raft: ['std'],
  replication: ['std'],
  storage: ['std', 'env', 'records'],
  actors: ['std', 'env', 'codec'],
  cluster: ['std', 'env', 'codec', 'records', 'actors', 'raft', 'replication', 'storage'],
  broker: ['std', 'env', 'codec', 'records', 'actors', 'cluster:ports'],
  'protocols/listening': ['std', 'env', 'actors'],
  'protocols/kafka': [
    'std',
    'env',
    'codec',
    'records',
    'actors',
    'broker:ports',
    'protocols/listening',
  ],
  'protocols/rocketmq': [
    'std',
    'env',
    'codec',
    'records',
    'actors',
    'broker:ports',
    'protocols/listening',
  ],
  'protocols/amqp': [
    'std',
    'env',
    'codec',
    'records',
    'actors',
    'broker:ports',
    'protocols/listening',
  ],
  admin: ['std', 'env', 'actors', 'cluster:ports', 'broker:ports', 'npm'],
  assembly: [
    'std',
    'env',
    'codec',
    'records',
    'actors',
    'cluster',
    'broker',
    'protocols/kafka',
    'protocols/amqp',
    'protocols/rocketmq',
    'protocols/listening',
    'admin',
    'replication',
    'raft',
    'storage',
  ],
  inspect: ['std', 'env', 'records', 'actors', 'cluster', 'broker', 'storage'],
  cli: [
    'std',
    'env',
    'env/node',
    'admin:api-types',
    'admin:shown-message',
    'assembly:node-config',
    'inspect:ports',
    'node',
    'npm',
  ],
  sim: [
    'std',
    'env',
    'codec',
    'records',
    'actors',
    'raft',
    'replication',
    'storage',
    'cluster',
    'broker',
    'protocols/kafka',
    'protocols/amqp',
    'protocols/rocketmq',
    'admin',
    'assembly',
  ],
  testkit: ['*'],
  doors: ['std', 'env', 'env/node', 'codec', 'actors', 'raft', 'cluster', 'storage'],
  '.': ['*'],
};

const IMPURE =
  /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|performance\.(now|timeOrigin)|process\.(env|cwd|exit|pid|argv|std|nextTick|hrtime|memoryUsage|platform|uptime|version)\b)/;
/** Files outside env/node that may touch the real world, and why. */
const IMPURE_ALLOWED = [
  /^src\/env\/node\//, // the real world itself
  /^src\/(main|worker|index|durable)\.ts$/, // composition roots
  /^src\/cli\//, // a person's terminal
  /^src\/testkit\//, // other people's test suites run in real time
  /^src\/sim\/(main|trip-wires|runner|explore\/main)\.ts$/, // the runner measures itself and installs the trip-wires
  /^src\/admin\/web\//, // text that a browser runs
];
const MODULE_STATE = /^(export )?let /m;

function roomOf(path) {
  const parts = path.split('/').slice(1);
  if (parts.length === 1) return '.';
  for (const room of Object.keys(WALLS)) {
    if (room.includes('/') && `${parts.join('/')}`.startsWith(`${room}/`)) return room;
  }
  return parts[0];
}

function importsOf(text) {
  const found = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|(?:^|\n)import\s*['"]([^'"]+)['"]/g;
  for (const match of text.matchAll(pattern)) found.push(match[1] ?? match[2] ?? match[3]);
  return found;
}

function allowed(room, path, target) {
  const walls = WALLS[room];
  if (walls === undefined) return `room ${room} has no entry in the table of walls`;
  if (walls.includes('*')) return undefined;
  if (target.startsWith('node:')) return walls.includes('node') ? undefined : `imports ${target}`;
  if (!target.startsWith('.'))
    return walls.includes('npm') ? undefined : `imports the package ${target}`;
  const file = relative(root, resolve(root, dirname(path), target));
  const other = roomOf(file);
  if (other === room) return undefined;
  if (walls.includes(other)) return undefined;
  const doors = walls.filter((wall) => wall.startsWith(`${other}:`));
  if (doors.length > 0) {
    const files = doors.map((door) => `${other}/${door.split(':')[1]}.ts`);
    return files.some((door) => file === `src/${door}`)
      ? undefined
      : `imports ${file}, but only ${files.join(' and ')} may be`;
  }
  return `imports ${file} (${room} may not know ${other})`;
}

function filesOf(folders) {
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...folders], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => file !== '' && existsSync(join(root, file)));
}

export function tidy() {
  const files = filesOf(['src']).filter((file) => file.endsWith('.ts'));
  const faults = unusedExports(
    new Map(
      filesOf(['src', 'test', 'bench', 'tools'])
        .filter((file) => /\.(ts|mjs)$/.test(file))
        .map((file) => [file, readFileSync(join(root, file), 'utf8')]),
    ),
  );
  // A compiler with other settings writes its output beside what it reads.
  for (const path of filesOf(['src']).filter((file) => !/(\.ts|\/README\.md)$/.test(file))) {
    faults.push(`${path}: src holds TypeScript and READMEs only`);
  }
  if (files.length < 100) faults.push(`tidy saw only ${files.length} files: is the glob wrong?`);
  const rooms = new Set();
  for (const path of files) {
    const text = readFileSync(join(root, path), 'utf8');
    const room = roomOf(path);
    rooms.add(room);
    for (const target of importsOf(text)) {
      const fault = allowed(room, path, target);
      if (fault !== undefined) faults.push(`${path}: ${fault}`);
    }
    const lines = text.split('\n');
    if (lines.length > 601) faults.push(`${path}: ${lines.length - 1} lines, the stop is 600`);
    const pure = !IMPURE_ALLOWED.some((pattern) => pattern.test(path));
    lines.forEach((line, index) => {
      const code = line.replace(/\/\/.*$/, '').replace(/^\s*\*.*$/, '');
      if (pure && IMPURE.test(code)) faults.push(`${path}:${index + 1}: impure: ${line.trim()}`);
      if (/\bTODO\b|\bFIXME\b/.test(line))
        faults.push(`${path}:${index + 1}: unfinished: ${line.trim()}`);
      if (/^export default/.test(line)) faults.push(`${path}:${index + 1}: default export`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
      if (/[\u0000-\u0008\u000b-\u001f]/.test(line))
        faults.push(`${path}:${index + 1}: control character`);
    });
    if (pure && MODULE_STATE.test(text)) faults.push(`${path}: module-level state (let)`);
  }
  for (const room of rooms) {
    if (room === '.') continue;
    const readme = join(root, 'src', room, 'README.md');
    if (!existsSync(readme)) faults.push(`src/${room} has no README.md`);
    else {
      const count = readFileSync(readme, 'utf8').trimEnd().split('\n').length;
      if (count < 20 || count > 60)
        faults.push(`src/${room}/README.md has ${count} lines, wanted 20 to 60`);
    }
  }
  return { files: files.length, faults };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { files, faults } = tidy();
  for (const fault of faults) console.error(fault);
  console.log(`tidy: ${files} files, ${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
