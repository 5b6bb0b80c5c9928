// The folder tree of a simulated device: names as processes see them, names as a power cut leaves them,
// and the journal between. Invariant: a name change becomes durable only by a sync of its folder, or by
// luck in a power cut, where a prefix of the journal survives (file systems journal names in order).
import { type CountingRandom, chance } from '../draws.ts';
import { SimSystemError } from '../sim-error.ts';
import type { Inode } from './inode.ts';

export class Folder {
  readonly entries = new Map<string, Inode | Folder>();
  readonly durable = new Map<string, Inode | Folder>();
}

/** One change of names: `undefined` removes. A rename sets two names in one step. */
interface NameChange {
  readonly sets: readonly {
    readonly folder: Folder;
    readonly name: string;
    readonly to: Inode | Folder | undefined;
  }[];
}

export class Tree {
  root = new Folder();
  #journal: NameChange[] = [];

  /** Names changed since their folder was last synced. */
  get pendingCount(): number {
    return this.#journal.length;
  }

  /** Every name and every byte as processes see them now, durable. Files with two names become two. */
  copy(newId: () => number): Tree {
    const copyOf = (folder: Folder): Folder => {
      const copied = new Folder();
      for (const name of [...folder.entries.keys()].sort()) {
        const entry = folder.entries.get(name)!;
        const next = entry instanceof Folder ? copyOf(entry) : entry.copy(newId());
        copied.entries.set(name, next);
        copied.durable.set(name, next);
      }
      return copied;
    };
    const tree = new Tree();
    tree.root = copyOf(this.root);
    return tree;
  }

  lookup(path: string): Inode | Folder | undefined {
    let at: Inode | Folder | undefined = this.root;
    for (const name of split(path)) {
      if (!(at instanceof Folder)) return undefined;
      at = at.entries.get(name);
    }
    return at;
  }

  folder(path: string): Folder {
    const found = this.lookup(path);
    if (found === undefined) throw new SimSystemError('ENOENT', path);
    if (!(found instanceof Folder)) throw new SimSystemError('ENOTDIR', path);
    return found;
  }

  file(path: string): Inode {
    const found = this.lookup(path);
    if (found === undefined) throw new SimSystemError('ENOENT', path);
    if (found instanceof Folder) throw new SimSystemError('EISDIR', path);
    return found;
  }

  /** Gives a name to a new or existing thing. */
  link(path: string, to: Inode | Folder): void {
    const { folder, name } = this.#parent(path);
    this.#commit([{ folder, name, to }]);
  }

  makeFolders(path: string): void {
    let at = this.root;
    for (const name of split(path)) {
      const next = at.entries.get(name);
      if (next instanceof Folder) {
        at = next;
        continue;
      }
      if (next !== undefined) throw new SimSystemError('EEXIST', path);
      const made = new Folder();
      this.#commit([{ folder: at, name, to: made }]);
      at = made;
    }
  }

  rename(from: string, to: string): void {
    const source = this.#parent(from);
    const target = this.#parent(to);
    const moved = source.folder.entries.get(source.name);
    if (moved === undefined) throw new SimSystemError('ENOENT', from);
    const replaced = target.folder.entries.get(target.name);
    if (replaced instanceof Folder) throw new SimSystemError('EEXIST', to);
    if (source.folder === target.folder && source.name === target.name) return;
    this.#commit([
      { folder: source.folder, name: source.name, to: undefined },
      { folder: target.folder, name: target.name, to: moved },
    ]);
  }

  remove(path: string): void {
    const { folder, name } = this.#parent(path);
    const found = folder.entries.get(name);
    if (found === undefined) throw new SimSystemError('ENOENT', path);
    if (found instanceof Folder && found.entries.size > 0) {
      throw new SimSystemError('ENOTEMPTY', path);
    }
    this.#commit([{ folder, name, to: undefined }]);
  }

  /** Removes a folder with all it holds; a missing one is fine. */
  removeTree(path: string): void {
    const found = this.lookup(path);
    if (found === undefined) return;
    if (found instanceof Folder) {
      for (const name of [...found.entries.keys()]) this.removeTree(`${path}/${name}`);
    }
    this.remove(path);
  }

  /** Makes the name changes of one folder durable; a rename counts for both of its folders. */
  sync(folder: Folder): void {
    this.#journal = this.#journal.filter((change) => {
      if (!change.sets.some((set) => set.folder === folder)) return true;
      persist(change);
      return false;
    });
  }

  /** A power cut: a random prefix of the journal survives, often nothing; then the cache is gone. */
  crash(random: CountingRandom): number {
    const all = this.#journal.length;
    const kept = all === 0 || chance(random, 0.5) ? 0 : random.below(all + 1);
    for (const change of this.#journal.slice(0, kept)) persist(change);
    this.#journal = [];
    revert(this.root);
    return kept;
  }

  /** Every file that has a name now, with its path, in order of names. */
  files(): readonly { readonly path: string; readonly inode: Inode }[] {
    const out: { path: string; inode: Inode }[] = [];
    const visit = (folder: Folder, prefix: string): void => {
      for (const name of [...folder.entries.keys()].sort()) {
        const entry = folder.entries.get(name)!;
        if (entry instanceof Folder) visit(entry, `${prefix}${name}/`);
        else out.push({ path: prefix + name, inode: entry });
      }
    };
    visit(this.root, '');
    return out;
  }

  #parent(path: string): { folder: Folder; name: string } {
    const names = split(path);
    const name = names.pop();
    if (name === undefined) throw new SimSystemError('EINVAL', path);
    return { folder: this.folder(names.join('/')), name };
  }

  #commit(sets: NameChange['sets']): void {
    for (const { folder, name, to } of sets) {
      if (to === undefined) folder.entries.delete(name);
      else folder.entries.set(name, to);
    }
    this.#journal.push({ sets });
  }
}

/** The names of a path; '.', empty names and anything that would climb out are refused or skipped. */
export function split(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw new SimSystemError('EACCES', path);
  return names;
}

function persist(change: NameChange): void {
  for (const { folder, name, to } of change.sets) {
    if (to === undefined) folder.durable.delete(name);
    else folder.durable.set(name, to);
  }
}

function revert(folder: Folder): void {
  folder.entries.clear();
  for (const [name, entry] of folder.durable) {
    folder.entries.set(name, entry);
    if (entry instanceof Folder) revert(entry);
  }
}
