// Errors as the operating system of the simulation reports them, and the one for misuse of an
// environment whose process is dead.

/** An errno-style error: satisfies DiskError and what Net rejects with. */
export class SimSystemError extends Error {
  readonly code: string;

  constructor(code: string, what: string) {
    super(`${code}: ${what}`);
    this.name = 'SimSystemError';
    this.code = code;
  }
}

/** Code of a dead process called its environment: in the real world that code no longer runs. */
export class DeadProcessError extends Error {
  constructor(process: string, what: string) {
    super(`${process} is dead but called ${what}`);
    this.name = 'DeadProcessError';
  }
}
