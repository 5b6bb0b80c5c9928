// The shapes of answers: JSON with a newline, errors with a stable code, bytes as text where they are text.

import type { LogResult } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { decodeUtf8, encodeUtf8 } from '../std/bytes.ts';
import type { ApiError } from './api-types.ts';

export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function json(status: number, value: unknown): HttpResponse {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value)}\n` };
}

export function failure(problem: ApiProblem): HttpResponse {
  const body: ApiError = { error: { code: problem.code, message: problem.message } };
  return json(problem.status, body);
}

const STATUS_OF: Partial<Record<LogResult, number>> = {
  'unknown-log': 404,
  'offset-out-of-range': 400,
  'too-large': 413,
  corrupt: 400,
  invalid: 400,
  unsupported: 400,
};

/** Why a log refused, as an HTTP problem: 503 for everything that passes by itself. */
export function logProblem(result: LogResult): ApiProblem {
  const code = `LOG_${result.toUpperCase().replaceAll('-', '_')}`;
  return new ApiProblem(STATUS_OF[result] ?? 503, code, `the log answered: ${result}`);
}

export function invalid(message: string): ApiProblem {
  return new ApiProblem(400, 'REQUEST_INVALID', message);
}

/** A whole number of the query, undefined if it is not there. */
export function numberOf(request: HttpRequest, field: string, most: number): number | undefined {
  const text = request.query.get(field);
  if (text === undefined) return undefined;
  if (!/^\d{1,16}$/.test(text) || Number(text) > most) {
    throw invalid(`${field} must be a number from 0 to ${most}`);
  }
  return Number(text);
}

/** Text if the bytes are UTF-8 as they are, else undefined. */
export function textOf(bytes: Uint8Array): string | undefined {
  const text = decodeUtf8(bytes);
  if (!text.includes('\ufffd')) return text;
  const again = encodeUtf8(text);
  return again.length === bytes.length && again.every((byte, at) => byte === bytes[at])
    ? text
    : undefined;
}
