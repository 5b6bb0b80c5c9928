// The little of HTTP/1.1 that the door of inspection speaks: one GET a connection, no body. Pure: text of a
// request in, what is asked or what is wrong with it out. Stricter than RFC 9112 where that keeps out what a
// browser can be misled to send.

export interface Asked {
  readonly path: string;
  readonly query: ReadonlyMap<string, string>;
  /** Of `authorization: Bearer`, else ''. */
  readonly token: string;
}

export interface Refused {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const LINE = /^([A-Z]+) (\/[^\s#]*) HTTP\/1\.[01]$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;
/** `name`, `name:port`, `[v6]` or `[v6]:port`. */
const HOST = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;

/** `head`: everything before the empty line. `host`: what the door is called besides localhost and addresses. */
export function readRequest(head: string, host: string): Asked | Refused {
  const [line = '', ...fieldLines] = head.split('\r\n');
  const request = LINE.exec(line);
  if (request === null) return refused(400, 'HTTP_BAD_REQUEST', 'this is no request of HTTP/1.1');
  const fields = new Map<string, string>();
  for (const each of fieldLines) {
    const field = FIELD.exec(each);
    if (field === null) return refused(400, 'HTTP_BAD_REQUEST', 'a header is malformed');
    const name = field[1]!.toLowerCase();
    if (fields.has(name)) return refused(400, 'HTTP_BAD_REQUEST', `${name} is there twice`);
    fields.set(name, field[2]!);
  }
  const wrong = whyNot(request[1]!, fields, host);
  if (wrong !== undefined) return wrong;
  const [path = '', query = ''] = request[2]!.split('?', 2);
  const bearer = /^Bearer +(\S+)$/i.exec(fields.get('authorization') ?? '');
  return { path, query: readQuery(query), token: bearer?.[1] ?? '' };
}

function whyNot(
  method: string,
  fields: ReadonlyMap<string, string>,
  host: string,
): Refused | undefined {
  const named = fields.get('host');
  if (named === undefined) return refused(400, 'HTTP_BAD_REQUEST', 'the host header is missing');
  // A web page can point a name of its own at 127.0.0.1 and then ask as its own origin (DNS rebinding).
  if (!isOwnHost(named, host)) {
    return refused(
      421,
      'HTTP_UNKNOWN_HOST',
      'ask by address, localhost, or the host it was opened with',
    );
  }
  const site = fields.get('sec-fetch-site') ?? 'none';
  if (fields.has('origin') || site !== 'none') {
    return refused(403, 'HTTP_FOREIGN_ORIGIN', 'pages may not ask here');
  }
  if (method !== 'GET') return refused(405, 'METHOD_NOT_ALLOWED', 'only GET is served here');
  if ((fields.get('content-length') ?? '0') !== '0' || fields.has('transfer-encoding')) {
    return refused(413, 'HTTP_BODY_TOO_LARGE', 'a request has no body here');
  }
  return undefined;
}

function isOwnHost(header: string, host: string): boolean {
  const match = HOST.exec(header);
  if (match === null) return false;
  const [, bracketed, plain = ''] = match;
  if (bracketed !== undefined || IPV4.test(plain)) return true;
  const name = plain.toLowerCase().replace(/\.$/, '');
  return name === 'localhost' || name === host.toLowerCase();
}

/** What cannot be decoded is no name that anybody knows. */
function readQuery(text: string): Map<string, string> {
  const query = new Map<string, string>();
  for (const pair of text.split('&')) {
    const [name = '', value = ''] = pair.split('=', 2);
    if (name !== '') query.set(name, value);
  }
  return query;
}

function refused(status: number, code: string, message: string): Refused {
  return { status, code, message };
}

const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  421: 'Misdirected Request',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** The head of an answer; without `size` the body ends with the connection. */
export function answerHead(status: number, contentType: string, size?: number): string {
  return [
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Unknown'}`,
    `content-type: ${contentType}`,
    ...(size === undefined ? [] : [`content-length: ${size}`]),
    'cache-control: no-store',
    'x-content-type-options: nosniff',
    'connection: close',
    '\r\n',
  ].join('\r\n');
}
