// The exchange types that this version routes. Others are refused when they are declared: nothing is
// stored that would drop messages in silence.

const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers'] as const;

type ExchangeType = (typeof EXCHANGE_TYPES)[number];

export function isExchangeType(type: string): type is ExchangeType {
  return (EXCHANGE_TYPES as readonly string[]).includes(type);
}
