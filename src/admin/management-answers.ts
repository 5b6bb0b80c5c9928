// How RabbitMQ's management API says things: problems with two words, and changes that are answered with nothing.
import type { MetadataResult } from '../cluster/ports.ts';
import type { HttpRequest, HttpResponse } from '../env/http.ts';
import { json } from './answers.ts';
import type { ApiManagementError } from './api-types.ts';

export const CHANGE_TIMEOUT_MS = 8_000;

export class ManagementProblem extends Error {
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string, reason: string) {
    super(reason);
    this.status = status;
    this.error = error;
  }
}

export const bad = (reason: string) => new ManagementProblem(400, 'bad_request', reason);
export const missing = () => new ManagementProblem(404, 'Object Not Found', 'Not Found');

export function managementFailure(problem: ManagementProblem): HttpResponse {
  const body: ApiManagementError = { error: problem.error, reason: problem.message };
  return json(problem.status, body);
}

export function allow({ method }: HttpRequest, methods: readonly string[]): void {
  if (methods.includes(method)) return;
  const reason = `${methods.join(', ')} are served here`;
  throw new ManagementProblem(405, 'Method Not Allowed', reason);
}

export function ensure(result: MetadataResult): void {
  if (result.kind === 'ok') return;
  if (result.kind === 'unavailable') {
    throw new ManagementProblem(503, 'service_unavailable', result.message);
  }
  throw result.code.startsWith('unknown-') ? missing() : bad(result.message);
}

export function empty(status: number): HttpResponse {
  return { status, contentType: 'application/json', body: '' };
}
