// Whether a request means this node by the name in its Host header. A web page can point a name of its own at
// 127.0.0.1 and then ask us as its own origin (DNS rebinding), so only names that are ours may be used. An
// address is no name: who uses one has not been misled by a name server.
import { isIP } from 'node:net';

/** `name`, `name:port`, `[v6]` or `[v6]:port` (RFC 9110, 7.2). */
const HOST = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/;

/** `names`: what this node is called besides `localhost`, in any case. */
export function isOwnHost(header: string, names: readonly string[]): boolean {
  const match = HOST.exec(header.trim());
  if (match === null) return false;
  const [, bracketed, plain = ''] = match;
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  if (isIP(plain) === 4) return true;
  const wanted = canonical(plain);
  return wanted === 'localhost' || names.some((name) => canonical(name) === wanted);
}

/** Names have no case, and one dot at the end means nothing. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
