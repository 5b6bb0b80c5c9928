// Option values as numbers and words, refused with a sentence that names the option.
import { NODE_ID_MAX } from '../assembly/node-config.ts';
import { usageFailure } from './failure.ts';

/** A parser for commander: an integer in [min, max]. */
export function integerIn(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw usageFailure(`${JSON.stringify(text)} is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** A parser for commander: an integer of 32 bits. */
export function signedInteger(text: string): number {
  const value = Number(text);
  if (!/^-?\d{1,10}$/.test(text) || value < -(2 ** 31) || value >= 2 ** 31) {
    throw usageFailure(`${JSON.stringify(text)} is not a whole number of 32 bits`);
  }
  return value;
}

/** A parser for commander: a node, as 1 or n1. */
export function nodeNumber(text: string): number {
  const id = Number(/^n?(\d{1,10})$/.exec(text)?.[1]);
  if (!(id >= 1 && id <= NODE_ID_MAX)) {
    const hint = `Numbers of nodes go from 1 to ${NODE_ID_MAX}.`;
    throw usageFailure(`${JSON.stringify(text)} is no node: name it as 1 or n1`, hint);
  }
  return id;
}

/** A parser for commander: one of the words. */
export function oneOf<T extends string>(...words: readonly T[]): (text: string) => T {
  return (text) => {
    if (!words.includes(text as T)) {
      throw usageFailure(`${JSON.stringify(text)} is none of ${words.join(', ')}`);
    }
    return text as T;
  };
}

/** Collects a repeatable option. */
export function repeated(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}
