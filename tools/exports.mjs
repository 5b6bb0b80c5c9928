// What the rooms offer and nobody takes: exported values of src that no other file of src imports. A value
// that its own file uses may be exported for a test, a bench or a tool as well; one that only they use is
// dead. Types are left alone, because a signature needs their names. A part of tools/tidy.mjs.
import { posix } from 'node:path';

/** Doors to code that is not in this repository: what they hand out counts as taken. */
const DOORS =
  /^src\/(index|durable|main|worker|crew-worker|node-entry|actors\/index|doors\/[\w-]+)\.ts$/;
/** Rooms that exist for tests: there a test counts like a file of src. */
const FOR_TESTS = /^src\/(sim|actors\/testkit)\//;
/** Values that wait for their first user. */
const WAITING = new Map([]);

const DECLARATION =
  /^export (?:declare )?(?:async )?(?:abstract )?(?:function\*?|const|class|enum) ([A-Za-z_$][\w$]*)/gm;
const IMPORT =
  /(?:^|\n)\s*(import|export)\s+(?:type\s+)?([^'";]*?)\s+from\s*['"](\.[^'"]+)['"]|\bimport\(\s*['"](\.[^'"]+)['"]/g;

/** Tests of built code import `dist/x.js` for `src/x.ts`. */
function sourceOf(path, target) {
  return posix
    .join(posix.dirname(path), target)
    .replace(/^dist\//, 'src/')
    .replace(/\.js$/, '.ts');
}

function named(item) {
  const [name, as] = item
    .trim()
    .replace(/^type\s+/, '')
    .split(/\s+as\s+/);
  return { name, as: as ?? name };
}

/** Imports and re-exports of a text: from where, which name (`*`: all), and whether it is passed on. */
function* importsOf(path, text) {
  for (const [, word, clause = '*', from, lazily] of text.matchAll(IMPORT)) {
    const target = sourceOf(path, from ?? lazily);
    const passesOn = word === 'export';
    const list = /\{([\s\S]*)\}/.exec(clause);
    const space = /^\* as (\w+)$/.exec(clause)?.[1];
    if (list !== null) {
      for (const item of list[1].split(',').filter((each) => each.trim() !== '')) {
        yield { target, passesOn, ...named(item) };
      }
    } else if (space !== undefined && !passesOn) {
      for (const [, name] of text.matchAll(new RegExp(`\\b${space}\\.(\\w+)`, 'g'))) {
        yield { target, passesOn, name, as: name };
      }
    } else yield { target, passesOn, name: '*', as: '*' };
  }
}

/** What is taken from each file, as `file#name`; files that pass names on are looked through. */
function takenBy(texts) {
  const taken = new Set();
  const passed = [];
  for (const [path, text] of texts) {
    for (const each of importsOf(path, text)) {
      if (each.passesOn && !DOORS.test(path)) passed.push({ path, ...each });
      else taken.add(`${each.target}#${each.name}`);
    }
  }
  for (let before = -1; before !== taken.size; ) {
    before = taken.size;
    for (const { path, target, name, as } of passed) {
      if (taken.has(`${path}#*`) || taken.has(`${path}#${as}`)) taken.add(`${target}#${name}`);
      if (as !== '*') continue;
      for (const key of [...taken]) {
        if (key.startsWith(`${path}#`)) taken.add(`${target}#${key.slice(path.length + 1)}`);
      }
    }
  }
  return taken;
}

function usesOf(name, code) {
  const escaped = name.replaceAll('$', '\\$');
  return code.match(new RegExp(`(?<![\\w$])${escaped}(?![\\w$])`, 'g'))?.length ?? 0;
}

/**
 * One sentence per exported value that is dead or exported for nobody.
 * `texts`: path below the root (with slashes) to text, of src and of everything that may import from it.
 */
export function unusedExports(texts) {
  const own = new Map([...texts].filter(([path]) => path.startsWith('src/')));
  const bySource = takenBy(own);
  const byAll = takenBy(texts);
  const faults = [];
  for (const [path, text] of own) {
    if (DOORS.test(path)) continue;
    const takers = FOR_TESTS.test(path) ? byAll : bySource;
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    for (const [, name] of code.matchAll(DECLARATION)) {
      const key = `${path}#${name}`;
      const isTaken = takers.has(key) || takers.has(`${path}#*`);
      if (WAITING.has(key)) {
        if (isTaken)
          faults.push(`${path}: ${name} is used now: take it off the list of those waiting`);
        continue;
      }
      if (isTaken) continue;
      const isUsedHere = usesOf(name, code) > 1;
      if (isUsedHere && (byAll.has(key) || byAll.has(`${path}#*`))) continue;
      const why = isUsedHere ? 'is exported, but nobody imports it' : 'is used by nobody in src';
      faults.push(`${path}: ${name} ${why}`);
    }
  }
  return faults;
}
