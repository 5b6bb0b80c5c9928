// One method per opcode of what a setup returned: a plain object, or an instance of a class, whose
// methods are looked up once for all of its instances.
import type { Cell } from './cell.ts';
import type { Method } from './cell-host.ts';
import { ActorError } from './errors.ts';
import type { AnyProtocol } from './protocol.ts';
import type { Tracer } from './tracer.ts';

interface ClassMethods {
  readonly protocol: AnyProtocol;
  readonly methods: readonly Method[];
}

export class MethodTables {
  /** Of classes whose instances are handlers. */
  readonly #byClass = new WeakMap<object, ClassMethods>();

  /** @throws ActorError if a handler is missing. */
  of(handlers: object, protocol: AnyProtocol): readonly Method[] {
    const kind = Object.getPrototypeOf(handlers) as object | null;
    const byName = handlers as Readonly<Record<string, Method>>;
    const make = () =>
      protocol.table.map((op) => {
        const method = byName[op.name];
        if (typeof method === 'function') return method;
        throw new ActorError('ACTOR_MISUSE', `${protocol.name} has no handler for ${op.name}`);
      });
    // Instances of a class share their methods, unless they have one of their own.
    if (kind === null || kind === Object.prototype) return make();
    if (protocol.table.some((op) => Object.hasOwn(handlers, op.name))) return make();
    const known = this.#byClass.get(kind);
    if (known?.protocol === protocol) return known.methods;
    const methods = make();
    this.#byClass.set(kind, { protocol, methods });
    return methods;
  }
}

/** The same methods, with what they send and await told to the tracer. */
export function traced(methods: readonly Method[], cell: Cell, tracer: Tracer): readonly Method[] {
  return methods.map((method, code): Method => {
    const { name } = cell.actor.protocol.table[code]!;
    return function handler(input) {
      return tracer.run(cell, name, cell.presentReply, () => method.call(this, input));
    };
  });
}
