// The sockets on which a node listens. What was opened is closed together, first of all when the node ends.
import type { Listener } from '../env/environment.ts';

const LOOPBACK_HOSTS = ['127.0.0.1', '::1'];

/** `localhost` is every loopback address there is. */
export function hostsOf(host: string): readonly string[] {
  return host === 'localhost' ? LOOPBACK_HOSTS : [host];
}

export class Listeners {
  readonly #open: Listener[] = [];

  /** The same port on all `hosts`: the one that the first was given if `port` is 0. */
  async listen(
    port: number,
    hosts: readonly string[],
    open: (at: { readonly host: string; readonly port: number }) => Promise<Listener>,
  ): Promise<number> {
    let bound = port;
    for (const host of hosts) {
      const listener = await this.#tryListen(() => open({ host, port: bound }), host);
      if (listener !== undefined) bound = listener.address.port;
    }
    return bound;
  }

  close(): void {
    for (const listener of this.#open) listener.close();
  }

  /** ::1 does not exist everywhere; the other loopback address must. */
  async #tryListen(listen: () => Promise<Listener>, host: string): Promise<Listener | undefined> {
    try {
      const listener = await listen();
      this.#open.push(listener);
      return listener;
    } catch (error) {
      const { code } = error as { code?: string };
      if (host === '::1' && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return undefined;
      throw error;
    }
  }
}
