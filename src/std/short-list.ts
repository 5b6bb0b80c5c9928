// Lists that are mostly empty, or have one item for a moment: of an array that is emptied to be filled again, the engine
// gives the memory back and takes seventeen places with the next item. Thousands of logs each have a few.

/** Nothing is ever put into it. */
const NONE: never[] = [];

/** The list without items. To be added to with `added` alone. */
export function noItems<T>(): T[] {
  return NONE;
}

/** The list with one item more: the same one, or a new one that has just that. */
export function added<T>(list: T[], item: T): T[] {
  if (list.length === 0) return [item];
  list.push(item);
  return list;
}
