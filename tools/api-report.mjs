// Writes what each door of the package offers, with its types, into docs/reference/api: a change of the API is
// a change of these files, which people read before it is released. `--check` compares and ends with 1 if
// they differ. Reads the declarations in dist; build first.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = 'docs/reference/api';
/** Name of the report -> the door. */
export const DOORS = new Map([
  ['callboard', 'dist/index.d.ts'],
  ['actors', 'dist/doors/actors.d.ts'],
  ['actors-testkit', 'dist/doors/actors-testkit.d.ts'],
  ['actors-shared', 'dist/doors/actors-shared.d.ts'],
  ['durable', 'dist/doors/durable.d.ts'],
  ['raft', 'dist/doors/raft.d.ts'],
]);

const EXPORT_FROM = /^export (?:type )?(\*|\{[^}]*\}) from '([^']+)';/gm;
const DECLARED =
  /^export (?:declare )?(?:abstract )?(?:const|function|class|interface|type|enum) ([A-Za-z_$][\w$]*)/gm;

const read = (file) => readFileSync(posix.join(root, file), 'utf8');
const declarationsOf = (file, from) =>
  posix.join(posix.dirname(file), from).replace(/(?<!\.d)\.ts$/, '.d.ts');

/** The text of a declaration: to the semicolon or brace that ends it at its own depth. */
function textFrom(text, start) {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const sign = text[at];
    if ('{(['.includes(sign)) depth += 1;
    if ('})]'.includes(sign)) depth -= 1;
    if (depth > 0) continue;
    const isBlock =
      sign === '}' &&
      /^export (declare )?(abstract )?(class|interface|enum)/.test(text.slice(start));
    if (sign === ';' || isBlock) return text.slice(start, at + 1);
  }
  return text.slice(start);
}

function withoutComments(text) {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*(private|#)[^\n]*\n/gm, '')
    .replace(/\n\s*\n/g, '\n');
}

/** Exported name -> its declaration. */
function offerOf(file) {
  const text = read(file);
  const offer = new Map();
  for (const match of text.matchAll(DECLARED)) offer.set(match[1], textFrom(text, match.index));
  for (const [, clause, from] of text.matchAll(EXPORT_FROM)) {
    const other = offerOf(declarationsOf(file, from));
    if (clause === '*') for (const [name, declaration] of other) offer.set(name, declaration);
    else {
      for (const item of clause.slice(1, -1).split(',')) {
        const [name, as = name] = item
          .trim()
          .replace(/^type /, '')
          .split(' as ');
        if (name === '') continue;
        const declaration = other.get(name);
        if (declaration === undefined) throw new Error(`${file}: ${name} is not in ${from}`);
        offer.set(as, declaration);
      }
    }
  }
  return offer;
}

/** The report of a door, names in order. */
export function reportOf(door) {
  const offer = [...offerOf(door)].sort(([a], [b]) => (a < b ? -1 : 1));
  const texts = offer.map(([, declaration]) => withoutComments(declaration).trim());
  return `${texts.join('\n\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(posix.join(root, FOLDER), { recursive: true });
  for (const [name, door] of DOORS) {
    const path = posix.join(root, FOLDER, `${name}.d.ts.txt`);
    const report = reportOf(door);
    if (!process.argv.includes('--check')) writeFileSync(path, report);
    else if (readFileSync(path, 'utf8') !== report) {
      console.error(
        `${FOLDER}/${name}.d.ts.txt differs: run node tools/api-report.mjs and read the difference`,
      );
      process.exitCode = 1;
    }
  }
}
