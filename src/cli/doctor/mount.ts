// Which file system a folder lies on, and with which options it is mounted. Linux says it in
// /proc/self/mountinfo (proc(5)); elsewhere only the number of statfs is known.
import fs from 'node:fs';

export interface Mount {
  /** `ext4`, `tmpfs`, `overlay`, `nfs4`; 'unknown' where nobody tells. */
  readonly type: string;
  readonly point: string;
  /** Of the mount and of the file system together. */
  readonly options: readonly string[];
}

/** f_type of statfs(2), for systems without mountinfo (a container may hide it). */
const TYPE_BY_MAGIC: Readonly<Record<number, string>> = {
  16914836: 'tmpfs',
  [0x858458f6]: 'ramfs',
  2035054128: 'overlay',
  61267: 'ext4',
  1481003842: 'xfs',
  [0x9123683e]: 'btrfs',
  801189825: 'zfs',
  26985: 'nfs',
  [0xff534d42]: 'cifs',
  [0xfe534d42]: 'smb2',
  1702057286: 'fuse',
  16914839: '9p',
  [0xf2f52010]: 'f2fs',
};

/** The mount of an existing folder. */
export function mountOf(folder: string): Mount {
  const real = fs.realpathSync(folder);
  try {
    const found = findMount(fs.readFileSync('/proc/self/mountinfo', 'utf8'), real);
    if (found !== undefined) return found;
  } catch {
    // No Linux, or /proc is hidden.
  }
  const type = TYPE_BY_MAGIC[fs.statfsSync(real).type] ?? 'unknown';
  return { type, point: real, options: [] };
}

/** The mount that holds `path`: the longest mount point above it; of equal ones the last mounted hides the others. */
export function findMount(mountinfo: string, path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const line of mountinfo.split('\n')) {
    const mount = parseLine(line);
    if (mount === undefined || !isAbove(mount.point, path)) continue;
    if (best === undefined || mount.point.length >= best.point.length) best = mount;
  }
  return best;
}

/** `36 35 98:0 /root /mnt/a\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue`. */
function parseLine(line: string): Mount | undefined {
  const [left, right] = line.split(' - ');
  const fields = left?.split(' ') ?? [];
  const [type, , superOptions] = right?.split(' ') ?? [];
  const point = fields[4];
  if (point === undefined || type === undefined) return undefined;
  const options = new Set([...(fields[5] ?? '').split(','), ...(superOptions ?? '').split(',')]);
  options.delete('');
  return { type, point: unescapeOctal(point), options: [...options] };
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function isAbove(point: string, path: string): boolean {
  return path === point || path.startsWith(point === '/' ? '/' : `${point}/`);
}
