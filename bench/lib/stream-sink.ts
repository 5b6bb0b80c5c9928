// The reading side of stream-bytes, on whatever thread or node it is: counts bytes, and answers when a stream is over.
import { actor, ask, protocol, streamAddress } from '../../dist/actors/index.js';
import { u53 } from '../../dist/codec/index.js';

export const StreamSink = protocol('stream-sink', 1, { read: ask(streamAddress, u53) });

export const StreamSinkActor = actor(StreamSink, (ctx, _args: undefined) => ({
  read(address) {
    const later = ctx.later<number>();
    let bytes = 0;
    ctx.acceptStream(
      address,
      {
        onBytes(view) {
          bytes += view[0] === 7 ? view.length : 0;
        },
        onEnd: () => later.ok(bytes),
      },
      { windowBytes: 1024 * 1024 },
    );
    return later;
  },
}));
