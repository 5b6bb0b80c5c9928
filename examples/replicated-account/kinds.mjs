// The kinds of durable actors that the nodes bring: imported by each node's main thread and by its worker threads.
import { ask, none, protocol, u32, u53 } from 'callboard/actors';
import { durable } from 'callboard/durable';

export const Account = durable(
  protocol('account', 1, { deposit: ask(u32, u53), balance: ask(none, u53) }),
  {
    events: { deposited: u32 },
    state: u53,
    initial: () => 0,
    decide: {
      deposit: (balance, amount) => ({
        events: [{ type: 'deposited', value: amount }],
        reply: balance + amount,
      }),
      balance: (balance) => ({ reply: balance }),
    },
    apply: { deposited: (balance, amount) => balance + amount },
  },
);

export const kinds = [Account];
