// A behavior for tests: its state is every value that was ever logged, in order, by batch or by event. It
// throws where a test tells it to, and can keep a command waiting for ever.
import type { DurableBehavior } from '../../../src/actors/durable/behavior.ts';
import { RecordReader } from '../../../src/records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../../src/std/bytes.ts';

export interface LedgerState {
  readonly values: string[];
}

interface LedgerLocal {
  readonly held: number[];
  /** Waits for anything to be committed. */
  readonly asleep: number[];
  /** Answered at that log time. */
  alarm: { readonly token: number; readonly dueMs: number } | undefined;
}

/** Where the behavior of one node throws. `apply` names the value. */
export interface Mischief {
  admit: boolean;
  apply: string | undefined;
  decide: boolean;
  demote: boolean;
  snapshot: boolean;
  /** How often the behavior was told that more is committed. */
  committedCalls: number;
  /** How often it was asked when something is due, and when it was ticked, in log time. */
  dueCalls: number;
  readonly ticks: number[];
}

export function noMischief(): Mischief {
  return {
    admit: false,
    apply: undefined,
    decide: false,
    demote: false,
    snapshot: false,
    committedCalls: 0,
    dueCalls: 0,
    ticks: [],
  };
}

export function valuesOf(batch: Uint8Array): string[] {
  const reader = new RecordReader();
  if (reader.open(batch, 0, batch.length) !== 'ok') throw new Error('a batch cannot be read');
  const values: string[] = [];
  while (reader.next()) values.push(decodeUtf8(reader.value() ?? new Uint8Array(0)));
  return values;
}

export function ledgerBehavior(mischief: Mischief): DurableBehavior<LedgerState, LedgerLocal> {
  const trip = (isOn: boolean, where: string) => {
    if (isOn) throw new Error(`mischief in ${where}`);
  };
  return {
    kind: 'partition',
    isRetained: true,
    initial: () => ({ values: [] }),
    promote: () => ({ held: [], asleep: [], alarm: undefined }),
    demote(local) {
      trip(mischief.demote, 'demote');
      const body = encodeUtf8('demoted');
      return local.held.map((token) => ({ token, level: 'none' as const, body }));
    },
    decide(_state, local, { token, body }, { logTimeMs }) {
      trip(mischief.decide, 'decide');
      const word = decodeUtf8(body);
      // `hold` is answered at the demotion, `forget` never.
      if (word === 'hold') local.held.push(token);
      if (word === 'hold' || word === 'forget') return {};
      // `wake` is answered when something is committed.
      if (word === 'wake') local.asleep.push(token);
      if (word === 'wake') return {};
      const [, delayMs] = /^alarm (\d+)$/.exec(word) ?? [];
      if (delayMs !== undefined) {
        local.alarm = { token, dueMs: logTimeMs + Number(delayMs) };
        return {};
      }
      const reply = { token, level: 'committed' as const, body: encodeUtf8(`did ${word}`) };
      const [verb, offset] = word.split(' ');
      if (verb === 'release' || verb === 'offer') {
        const release = { releaseBelow: Number(offset), isReleaseDue: verb === 'release' };
        return { events: encodeUtf8(word), replies: [reply], ...release };
      }
      return { events: encodeUtf8(word), replies: [reply] };
    },
    committed(_state, local, position) {
      mischief.committedCalls += 1;
      const body = encodeUtf8(`committed ${position.committedOffset}`);
      const replies = local.asleep.map((token) => ({ token, level: 'none' as const, body }));
      local.asleep.length = 0;
      return { replies };
    },
    admit() {
      trip(mischief.admit, 'admit');
      return undefined;
    },
    apply(state, { events, batch }) {
      const added = batch === undefined ? [] : valuesOf(batch);
      if (events.length > 0) added.push(decodeUtf8(events));
      for (const value of added) trip(value === mischief.apply, 'apply');
      state.values.push(...added);
    },
    nextDueMs(_state, local) {
      mischief.dueCalls += 1;
      return local.alarm?.dueMs;
    },
    tick(_state, local, { logTimeMs }) {
      mischief.ticks.push(logTimeMs);
      const { alarm } = local;
      if (alarm === undefined || alarm.dueMs > logTimeMs) return {};
      local.alarm = undefined;
      const body = encodeUtf8(`rang ${logTimeMs - alarm.dueMs}`);
      return { replies: [{ token: alarm.token, level: 'none' as const, body }] };
    },
    snapshot(state) {
      trip(mischief.snapshot, 'snapshot');
      return encodeUtf8(JSON.stringify(state.values));
    },
    restore: (bytes) => ({ values: JSON.parse(decodeUtf8(bytes)) as string[] }),
  };
}
