// Columns that grow by doubling.

/** A copy with room for `size`; what is new is 0. */
export function growInts(column: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(Math.max(size, column.length * 2));
  grown.set(column);
  return grown;
}
