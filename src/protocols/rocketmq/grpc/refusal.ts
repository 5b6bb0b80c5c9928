// Why a request is not done: RocketMQ's code and a sentence. A value, because refusing is an everyday answer.
import type { Trouble } from './ports.ts';
import { Code } from './schema/enums.ts';

export class Refusal {
  readonly code: number;
  readonly text: string;

  constructor(code: number, text: string) {
    this.code = code;
    this.text = text;
  }
}

export interface Status {
  readonly code: number;
  readonly message: string;
}

export const OK: Status = { code: Code.OK, message: 'OK' };

export function statusOf(refusal: Refusal): Status {
  return { code: refusal.code, message: refusal.text };
}

/**
 * The broker's trouble in RocketMQ's words. Clients repeat after all of them but `refused`; on
 * TOO_MANY_REQUESTS they wait first.
 */
export function refusalOf(trouble: Trouble, reason: string): Refusal {
  switch (trouble) {
    case 'unavailable':
      return new Refusal(Code.HA_NOT_AVAILABLE, reason);
    case 'timed-out':
      return new Refusal(Code.PROXY_TIMEOUT, reason);
    case 'busy':
      return new Refusal(Code.TOO_MANY_REQUESTS, reason);
    case 'refused':
      return new Refusal(Code.FORBIDDEN, reason);
  }
}

/** One code if all have it, else MULTIPLE_RESULTS. */
export function joined(statuses: readonly Status[]): Status {
  const first = statuses[0];
  if (first === undefined) return { code: Code.BAD_REQUEST, message: 'nothing was asked for' };
  if (statuses.every(({ code }) => code === first.code)) return first;
  return { code: Code.MULTIPLE_RESULTS, message: 'MULTIPLE_RESULTS' };
}
