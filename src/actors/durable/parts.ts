// The parts of an event-sourced actor with their types hidden, as the behavior holds them.
import type { Codec } from '../../codec/codec.ts';

export interface AnyTimer {
  readonly key: string;
  readonly cancel?: true;
  readonly afterMs?: number;
  readonly op?: string;
  readonly input?: unknown;
}

export interface AnyOutcome {
  readonly events?: readonly { readonly type: string; readonly value: unknown }[];
  readonly timers?: readonly AnyTimer[];
  readonly reply: unknown;
}

type AnyDecide = (
  state: unknown,
  input: unknown,
  context: { readonly logTimeMs: number },
) => AnyOutcome;

export interface AnyParts {
  readonly events: Readonly<Record<string, Codec<unknown>>>;
  readonly state: Codec<unknown>;
  readonly initial: () => unknown;
  readonly decide: Readonly<Record<string, AnyDecide>>;
  readonly apply: Readonly<Record<string, (state: unknown, value: unknown) => unknown>>;
}
