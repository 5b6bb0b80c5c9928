// Which addresses never leave this machine. Pure.

/** `localhost`, 127.0.0.0/8 and ::1, also as IPv6 writes IPv4. A name that must be looked up may be anywhere. */
export function isLoopback(host: string): boolean {
  const plain = host.startsWith('::ffff:') ? host.slice(7) : host;
  return plain === 'localhost' || plain === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(plain);
}
