// A guide as a reader follows it, block by block, in a folder of its own where the package is installed.
//
//   js          run as a module
//   js, ts      with a first line `// file: NAME`: written, for later blocks
//   json NAME   written
//   sh          run by bash; `sh NAME` goes on in a terminal of that name
//   input NAME  typed into that terminal; `^D` ends its input
//   text        directly behind a js or sh block: what it prints, to the letter
//   text NAME   lines that appear in that terminal, in this order, behind those that were seen before
//
// Code of others is shown in fences of their language (scala, erlang, other) and not run.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FENCE = /^## (.+)$|^```([^\n]*)\n([\s\S]*?)^```$/gm;
const FILE = /^\/\/ file: (\S+)\n/;
const NOT_RUN = new Set(['scala', 'erlang', 'other']);
interface Block {
  readonly language: string;
  /** Of a terminal or a file, or ''. */
  readonly terminal: string;
  readonly text: string;
  readonly heading: string;
  /** Where the fence begins and ends in the guide. */
  readonly start: number;
  readonly end: number;
}

function blocksOf(guide: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  for (const { 0: whole, 1: title, 2: info, 3: text, index } of guide.matchAll(FENCE)) {
    if (title !== undefined) heading = title;
    if (info === undefined || text === undefined) continue;
    const [language = '', terminal = ''] = info.split(' ');
    const end = index + whole.length;
    blocks.push({ language, terminal, text, heading, start: index, end });
  }
  return blocks;
}

class Terminal {
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #text = '';
  #seen = 0;
  #hasEnded = false;

  constructor(command: string, cwd: string) {
    // `exec`: the signal at the end goes to the program, not to a shell before it.
    this.#child = spawn('bash', ['-c', `exec ${command.trim()}`], { cwd });
    const add = (chunk: string): void => {
      this.#text += chunk;
      for (const look of [...this.#waiting]) look();
    };
    this.#child.stdout!.setEncoding('utf8').on('data', add);
    this.#child.stderr!.setEncoding('utf8').on('data', add);
    this.#child.on('exit', () => {
      this.#hasEnded = true;
      add('');
    });
  }

  type(text: string): void {
    for (const line of text.trimEnd().split('\n')) {
      if (line === '^D') this.#child.stdin!.end();
      else this.#child.stdin!.write(`${line}\n`);
    }
  }

  /** Waits until the line appears behind those that were seen. */
  sees(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const rest = this.#text.slice(this.#seen);
        const at = `\n${rest}`.indexOf(`\n${line}\n`);
        if (at < 0 && !this.#hasEnded) return;
        this.#waiting.delete(look);
        if (at < 0) reject(new Error(`the terminal ended without ${line}:\n${this.#text}`));
        else {
          this.#seen += at + line.length + 1;
          resolve();
        }
      };
      this.#waiting.add(look);
      look();
    });
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

export class GuideRun {
  readonly folder: string;
  readonly #guide: string;
  readonly #blocks: readonly Block[];
  readonly #groups: number[] = [];
  readonly #terminals = new Map<string, Terminal>();

  constructor(root: string, guide: string) {
    this.#guide = guide;
    this.#blocks = blocksOf(guide);
    this.folder = mkdtempSync(join(tmpdir(), 'callboard-guide-'));
    mkdirSync(join(this.folder, 'node_modules/@types'), { recursive: true });
    symlinkSync(root, join(this.folder, 'node_modules/callboard'));
    for (const tool of ['.bin', 'typescript']) {
      symlinkSync(join(root, 'node_modules', tool), join(this.folder, 'node_modules', tool));
    }
    symlinkSync(
      join(root, 'node_modules/@types/node'),
      join(this.folder, 'node_modules/@types/node'),
    );
    writeFileSync(join(this.folder, 'package.json'), '{ "type": "module", "private": true }');
  }

  close(): void {
    for (const each of this.#terminals.values()) each.close();
    for (const pid of this.#groups) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // All of it has ended.
      }
    }
    rmSync(this.folder, { recursive: true });
  }

  /**
   * Runs every block. `expect(where, printed, expected)` is asked for each that prints; `expected` is undefined
   * if no text follows it.
   */
  async run(
    expect: (where: string, printed: string, expected: string | undefined) => void,
  ): Promise<void> {
    for (const [at, block] of this.#blocks.entries()) {
      const { language, terminal, text, heading } = block;
      if (NOT_RUN.has(language)) continue;
      if (language === 'text') {
        if (terminal === '') this.#checkOutput(at);
        else for (const line of text.trimEnd().split('\n')) await this.#of(terminal).sees(line);
      } else if (language === 'input') this.#of(terminal).type(text);
      else if (language === 'json') writeFileSync(join(this.folder, terminal), text);
      else if (language === 'sh' && terminal !== '') {
        this.#terminals.set(terminal, new Terminal(text, this.folder));
      } else if (FILE.test(text)) writeFileSync(join(this.folder, FILE.exec(text)![1]!), text);
      else expect(heading, await this.#print(block, at), this.#outputOf(at));
    }
  }

  #of(terminal: string): Terminal {
    const found = this.#terminals.get(terminal);
    if (found === undefined) throw new Error(`no block starts the terminal ${terminal}`);
    return found;
  }

  async #print({ language, text }: Block, at: number): Promise<string> {
    if (language === 'sh') return this.#output('bash', ['-euo', 'pipefail', '-c', text]);
    if (language === 'js') {
      writeFileSync(join(this.folder, `block-${at}.mjs`), text);
      return this.#output(process.execPath, [`block-${at}.mjs`]);
    }
    throw new Error(`a guide has no blocks of ${language} that run`);
  }

  /** What the command prints; one that fails adds its errors and how it ended. */
  #output(command: string, args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      // A group of its own: what a block starts in the background ends with the guide.
      const child = spawn(command, args, { cwd: this.folder, detached: true });
      if (child.pid !== undefined) this.#groups.push(child.pid);
      let [printed, errors] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        printed += chunk;
      });
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        errors += chunk;
      });
      child.on('error', reject);
      child.on('close', (code, signal) => {
        const how = code === 0 ? '' : `${errors}ended with ${code ?? signal}`;
        resolve(`${printed}${how}`.trimEnd());
      });
    });
  }

  /** The text behind a block with nothing but space between. */
  #outputOf(at: number): string | undefined {
    const [block, next] = [this.#blocks[at]!, this.#blocks[at + 1]];
    if (next?.language !== 'text' || next.terminal !== '') return undefined;
    const between = this.#guide.slice(block.end, next.start);
    return between.trim() === '' ? next.text.trimEnd() : undefined;
  }

  /** A text that is no output would be read as one. */
  #checkOutput(at: number): void {
    const before = this.#blocks[at - 1];
    const isOutput =
      before !== undefined &&
      ['js', 'sh'].includes(before.language) &&
      this.#outputOf(at - 1) !== undefined;
    if (!isOutput) throw new Error(`${this.#blocks[at]!.heading}: a text that no block prints`);
  }
}
