// Types of storage.mjs.
import type { Mutant } from './bundle.mjs';

export const entry: string;
export const mutants: readonly Mutant[];
