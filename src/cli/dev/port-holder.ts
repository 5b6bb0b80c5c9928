// Who listens on a port, as far as /proc tells: nothing on other systems, and nothing about other
// people's processes. For messages only.
import fs from 'node:fs';

export interface PortHolder {
  readonly pid: number;
  readonly command: string;
}

const LISTEN = '0A';

export function portHolder(port: number): PortHolder | undefined {
  try {
    const inodes = listeningInodes(port);
    return inodes.size === 0 ? undefined : ownerOf(inodes);
  } catch {
    return undefined;
  }
}

function listeningInodes(port: number): ReadonlySet<string> {
  const inodes = new Set<string>();
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    if (!fs.existsSync(file)) continue;
    for (const line of fs.readFileSync(file, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === LISTEN && fields[1]?.endsWith(suffix) === true) {
        inodes.add(`socket:[${fields[9]}]`);
      }
    }
  }
  return inodes;
}

function ownerOf(inodes: ReadonlySet<string>): PortHolder | undefined {
  for (const pid of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || !holdsOne(pid, inodes)) continue;
    const words = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    const text = words.join(' ');
    return { pid: Number(pid), command: text.length > 60 ? `${text.slice(0, 57)}...` : text };
  }
  return undefined;
}

function holdsOne(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return fs.readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return inodes.has(fs.readlinkSync(`/proc/${pid}/fd/${fd}`));
      } catch {
        return false;
      }
    });
  } catch {
    // Another user's process, or one that has just ended.
    return false;
  }
}
