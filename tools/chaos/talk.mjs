// How the processes of a chaos run talk: requests over the IPC channel, each answered once, and streams
// of facts without an answer. A process whose parent is gone ends.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The parent's end of a child. */
export class Child {
  #process;
  #open = new Map();
  #nextId = 1;
  #end;

  constructor(script, args, onFact = () => undefined) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    this.#process = fork(path, args, { serialization: 'advanced' });
    this.#process.on('message', (message) => {
      if (message.id === undefined) {
        onFact(message);
        return;
      }
      const { resolve, reject } = this.#open.get(message.id);
      this.#open.delete(message.id);
      if (message.error === undefined) resolve(message.answer);
      else reject(new Error(`${script}: ${message.error}`));
    });
    this.#process.once('exit', (code, signal) => {
      this.#end = new Error(`${script} ended with ${signal ?? code}`);
      for (const { reject } of this.#open.values()) reject(this.#end);
      this.#open.clear();
    });
  }

  ask(name, args) {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.#process.send({ id, name, args });
    });
  }

  tell(name, args) {
    if (this.#end === undefined) this.#process.send({ name, args });
  }

  kill() {
    this.#process.kill('SIGKILL');
  }
}

/** The child's end: `handlers` by name; what a handler returns is the answer. */
export function serve(handlers) {
  process.on('message', async ({ id, name, args }) => {
    try {
      const answer = await handlers[name](args);
      if (id !== undefined) process.send({ id, answer });
    } catch (error) {
      if (id === undefined) throw error;
      process.send({ id, error: error.stack });
    }
  });
  process.on('disconnect', () => process.exit(0));
}

/** Tells the parent a fact. */
export function fact(name, args) {
  if (process.connected) process.send({ name, args });
}
