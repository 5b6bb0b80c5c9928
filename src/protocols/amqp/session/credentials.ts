// Who a client says it is: the responses of PLAIN (RFC 4616) and AMQPLAIN (a field table without its size; RabbitMQ's
// rabbit_auth_mechanism_amqplain.erl), and who is let in.
import type { AccessView } from '../../../broker/ports.ts';
import { ByteReader, BytesError, readUtf8 } from '../../../std/bytes.ts';
import { AmqpError, fieldOf, readTable } from '../codec/index.ts';
import type { SessionPorts } from './ports.ts';

export const MECHANISMS = ['PLAIN', 'AMQPLAIN'] as const;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Undefined: no such mechanism, or not a response of it. */
function credentialsOf(mechanism: string, response: Uint8Array): Credentials | undefined {
  if (mechanism === 'PLAIN') return plain(response);
  return mechanism === 'AMQPLAIN' ? amqplain(response) : undefined;
}

/** authzid NUL authcid NUL password. Who acts for another is refused: the first part is empty or the same. */
function plain(response: Uint8Array): Credentials | undefined {
  const first = response.indexOf(0);
  const second = response.indexOf(0, first + 1);
  if (first < 0 || second < 0) return undefined;
  try {
    const identity = readUtf8(response, 0, first);
    const user = readUtf8(response, first + 1, second);
    const password = readUtf8(response, second + 1, response.length);
    return identity === '' || identity === user ? { user, password } : undefined;
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}

function amqplain(response: Uint8Array): Credentials | undefined {
  const sized = new Uint8Array(4 + response.length);
  new DataView(sized.buffer).setUint32(0, response.length);
  sized.set(response, 4);
  try {
    const table = readTable(new ByteReader(sized));
    const user = fieldOf(table, 'LOGIN');
    const password = fieldOf(table, 'PASSWORD');
    if (user?.type !== 'longstr' || password?.type !== 'longstr') return undefined;
    if (typeof user.value !== 'string' || typeof password.value !== 'string') return undefined;
    return { user: user.value, password: password.value };
  } catch (error) {
    if (error instanceof BytesError || error instanceof AmqpError) return undefined;
    throw error;
  }
}

export interface Login {
  /** Undefined: unreadable. */
  readonly credentials: Credentials | undefined;
  /** Why nobody is let in, for the log; undefined: the user is. */
  readonly why: string | undefined;
}

/** What a client says of itself, looked at unless too much from its address was wrong before. */
export function judgeLogin(
  mechanism: string,
  response: Uint8Array,
  ports: Pick<SessionPorts, 'mayLogIn' | 'loginFailed' | 'isLoopback' | 'view'>,
): Login {
  const credentials = credentialsOf(mechanism, response);
  if (!ports.mayLogIn()) return { credentials, why: 'too many failures from this address' };
  const why =
    credentials === undefined
      ? 'unreadable credentials'
      : whyRefused(credentials, ports.view.access, ports.isLoopback);
  if (why !== undefined) ports.loginFailed();
  return { credentials, why };
}

function whyRefused(
  { user, password }: Credentials,
  access: AccessView,
  isLoopback: boolean,
): string | undefined {
  switch (access.refuseLogin(user, password, isLoopback)) {
    case 'blank':
      return `user '${user}': a blank password`;
    case 'wrong':
      return `user '${user}': invalid credentials`;
    case 'remote':
      return `user '${user}' can only connect via localhost`;
    case undefined:
      return undefined;
  }
}
