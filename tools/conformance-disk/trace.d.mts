// Types of trace.mjs.

export interface SystemCall {
  readonly name: string;
  /** Everything between the parentheses. */
  readonly args: string;
  readonly result: number | undefined;
  /** Of the first argument, where that is a descriptor. */
  readonly fd: number | undefined;
  /** Behind it, if it is a file. */
  readonly path: string | undefined;
}

/** `undefined`: not a line of a call. */
export function parseCall(line: string): SystemCall | undefined;
/** @throws Error with the words of strace if it cannot be attached. */
export function attach(
  pid: number,
  folder: string,
): Promise<{ end(): Promise<readonly SystemCall[]> }>;
