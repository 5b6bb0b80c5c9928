import type { ActorOptions, Context, Handlers, Protocol, System } from '../../../src/actors/index.ts';
import type { Ask, Tell } from '../../../src/actors/protocol.ts';

interface Numbered {
  readonly from: number;
  readonly sequence: number;
  readonly body: Uint8Array;
}

type Ops = {
  readonly take: Tell<Numbered>;
  readonly lend: Tell<Numbered>;
  readonly send: Tell<{ readonly thread: number; readonly count: number }>;
  readonly report: Ask<
    undefined,
    { readonly taken: number; readonly wrong: number; readonly lent: number; readonly kept: number }
  >;
};

export declare const PeerOfAllSizes: Protocol<Ops>;

export declare function peerOfAllSizes(system: System): {
  readonly setup: (ctx: Context<Ops>, args: undefined) => Handlers<Ops>;
  readonly options: ActorOptions<undefined>;
};
