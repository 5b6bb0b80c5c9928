// A replica whose missing frames are gone at the leader copies segments first (pinned there, adopted
// here but not counted), then the snapshot in one step. Until the snapshot is installed the log is
// what it was, so a crash in the middle leaves nothing that looks newer than it is.
import type { Follower, InstalledSnapshot } from '../../replication/types.ts';
import type { Install } from '../../storage/api.ts';
import { CopyPace } from './copy-pace.ts';
import type { DonationOffer, LogContext } from './role.ts';

/** Throws everything away that the log holds, in one durable step; the caller resets the machine. */
export async function startOver({
  stored,
  machine,
}: Pick<LogContext, 'stored' | 'machine'>): Promise<void> {
  const nothing = { compactedEnd: 0, thinnedEnd: 0, needlessGone: false };
  const install = stored.beginInstall({ kind: 'scratch', startOffset: 0 }, nothing);
  await install.commit({
    seq: 0,
    epoch: 0,
    chain: 0,
    logTimeMs: 0,
    endOffset: 0,
    startOffset: 0,
    epochs: [],
    state: machine.initialSnapshot(),
  });
}

export class CatchUp {
  readonly #context: LogContext;
  readonly #from: number;
  readonly #epoch: number;
  #offer: DonationOffer | undefined;
  #install: Install | undefined;
  #isAborted = false;
  readonly #pace = new CopyPace();

  constructor(context: LogContext, from: number, epoch: number) {
    this.#context = context;
    this.#from = from;
    this.#epoch = epoch;
  }

  async copySegments(): Promise<void> {
    const { peers, logId, stored } = this.#context;
    const offer = await peers.donate(this.#from, logId, this.#epoch);
    this.#offer = offer;
    if (this.#isAborted) {
      this.#release();
      return;
    }
    const { startOffset } = offer.snapshot;
    const install = stored.beginInstall({ kind: 'scratch', startOffset }, offer.facts);
    this.#install = install;
    let position = 0;
    while (position < offer.totalBytes) {
      const bytes = await peers.pullChunk(this.#from, logId, offer.donationId, position);
      if (this.#isAborted) return;
      const taken = install.adopt(bytes);
      if (taken === 'corrupt') throw new Error(`segments are damaged at byte ${position}`);
      if (taken === 0) throw new Error(`no whole batch in ${bytes.length} bytes`);
      position += taken;
      await this.#paced(taken);
      if (this.#isAborted) return;
      // A cut-off batch at the end is asked for again, from its first byte.
    }
  }

  async #paced(bytes: number): Promise<void> {
    const { copyRate, logId, self, nowMs, after } = this.#context;
    this.#pace.copied(bytes, copyRate(logId, self.node), nowMs());
    const waitMs = this.#pace.waitMs(nowMs());
    if (waitMs > 0) await new Promise<void>((resolve) => after(waitMs, resolve));
  }

  /** Tells the core which committed seq the leader offers. */
  offer(core: Follower): void {
    const offer = this.#offer;
    if (offer !== undefined) core.snapshotOffered({ epoch: this.#epoch, seq: offer.snapshot.seq });
  }

  async install(): Promise<InstalledSnapshot> {
    const offer = this.#offer;
    const install = this.#install;
    if (offer === undefined || install === undefined) throw new Error('nothing was copied');
    await install.commit(offer.snapshot);
    this.#install = undefined;
    this.#release();
    const { seq, chain, epochs } = offer.snapshot;
    return { seq, chain, epochs };
  }

  abort(): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#install?.abort();
    this.#install = undefined;
    this.#release();
  }

  #release(): void {
    const offer = this.#offer;
    this.#offer = undefined;
    if (offer === undefined) return;
    const { peers, logId } = this.#context;
    peers.releaseDonation(this.#from, logId, offer.donationId);
  }
}
