// Types of bundle.mjs.

/** One text of one file, and what stands in its place. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** May be missed. */
  readonly isRare?: true;
}

export const ROOT: string;
export function mutated(source: string, mutant: Mutant): string;
