// The work by Callboard's runtime, as an application would write it.
import {
  actor,
  ask,
  bytes,
  createActorEnvironment,
  createSystem,
  none,
  protocol,
  ThreadGroup,
  tell,
  u32,
} from '../../dist/doors/actors.js';

const BATCH = 1_000;
const within = { timeoutMs: 60_000 };
const turn = () => new Promise((resolve) => setImmediate(resolve));
export const Sink = protocol('sink', 1, {
  take: tell(u32),
  takeBytes: tell(bytes),
  echo: ask(u32, u32),
  taken: ask(none, u32),
});
export const SinkActor = actor(Sink, () => {
  let taken = 0;
  return {
    take() {
      taken += 1;
    },
    takeBytes() {
      taken += 1;
    },
    echo: (n) => n,
    taken() {
      const all = taken;
      taken = 0;
      return all;
    },
  };
});

function local() {
  const system = createSystem(createActorEnvironment(), { name: 'compare' });
  const sink = system.spawn('sink', SinkActor, undefined);
  return { sink, close: () => system.shutdown({ timeoutMs: 1_000 }) };
}

async function thread() {
  const env = createActorEnvironment();
  const system = createSystem(env, { name: 'compare', threadCount: 2, protocols: [Sink] });
  const entry = new URL('./our-worker.mjs', import.meta.url);
  const group = new ThreadGroup(system, { entry, workers: 1 });
  await group.start();
  const sink = system.wellKnown(Sink, { thread: 1, slot: 1 });
  const close = async () => {
    await group.stop({ timeoutMs: 1_000 });
    await system.shutdown({ timeoutMs: 1_000 });
  };
  return { sink, close };
}

/** Tells with flow control: nothing is dropped. */
async function tellAll(sink, op, input, count) {
  for (let sent = 0; sent < count; sent += 1) {
    while (sink.offer(op, input) !== 'accepted') await sink.ready();
    if (sent % BATCH === BATCH - 1) await turn();
  }
  return sink.ask('taken', undefined, within);
}

async function askAll(sink, count) {
  let right = 0;
  for (let i = 0; i < count; i += 1) if ((await sink.ask('echo', i, within)) === i) right += 1;
  return right;
}

const body = new Uint8Array(64);
export const ours = {
  async tell() {
    const { sink, close } = local();
    return { round: (count) => tellAll(sink, 'take', 1, count), close };
  },
  async ask() {
    const { sink, close } = local();
    return { round: (count) => askAll(sink, count), close };
  },
};
export const ourThread = {
  async tell() {
    const { sink, close } = await thread();
    return { round: (count) => tellAll(sink, 'takeBytes', body, count), close };
  },
  async ask() {
    const { sink, close } = await thread();
    return { round: (count) => askAll(sink, count), close };
  },
};
