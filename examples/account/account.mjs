// A bank account that survives kill -9: whatever deposit was answered is there after the next start.
//
//   node examples/account/account.mjs FOLDER              deposits 1 again and again, says each balance
//   node examples/account/account.mjs FOLDER balance      says the balance and how many deposits there were
import {
  ask,
  createActorEnvironment,
  createSystem,
  none,
  protocol,
  record,
  u32,
  u53,
} from 'callboard/actors';
import { durable, openDurableActors } from 'callboard/durable';

const [, , folder = '.account', mode = 'deposit'] = process.argv;
const status = record({ balance: u53, deposits: u53 });

const Account = durable(
  protocol('account', 1, {
    deposit: ask(u32, u53),
    withdraw: ask(u32, u53),
    look: ask(none, status),
  }),
  {
    events: { deposited: u32, withdrawn: u32 },
    state: status,
    initial: () => ({ balance: 0, deposits: 0 }),
    decide: {
      deposit: ({ balance }, amount) => ({
        events: [{ type: 'deposited', value: amount }],
        reply: balance + amount,
      }),
      withdraw({ balance }, amount) {
        if (amount > balance) throw new Error(`there is only ${balance}`);
        return { events: [{ type: 'withdrawn', value: amount }], reply: balance - amount };
      },
      look: (state) => ({ reply: state }),
    },
    apply: {
      deposited: ({ balance, deposits }, amount) => ({
        balance: balance + amount,
        deposits: deposits + 1,
      }),
      withdrawn: ({ balance, deposits }, amount) => ({ balance: balance - amount, deposits }),
    },
  },
);

const env = createActorEnvironment({ dataRoot: folder });
const system = createSystem(env, { name: 'bank' });
const actors = await openDurableActors(env, { kinds: [Account] });
const ada = actors.spawn(system, Account, 'ada');
const within = { timeoutMs: 10_000 };
if (mode === 'balance') {
  const { balance, deposits } = await ada.ask('look', undefined, within);
  console.log(`${balance} after ${deposits} deposits`);
  await actors.close();
  await system.shutdown({ timeoutMs: 10_000 });
} else {
  for (;;) console.log(await ada.ask('deposit', 1, within));
}
