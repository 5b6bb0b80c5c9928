// The language of the schema tables: a row says a field's type, since and until which version it is
// on the wire, from which version it may be null, its tag, and what it is where it is absent. The
// TypeScript types of requests and responses are read off the rows.

/** What a row's bytes look like. `list` and `struct` nest. */
export type WireType =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'list'; readonly item: WireType }
  | { readonly kind: 'struct'; readonly rows: Rows };

export type ScalarKind =
  | 'bool'
  | 'i8'
  | 'i16'
  | 'u16'
  | 'i32'
  | 'i64'
  | 'f64'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records';

interface Placement {
  readonly from: number;
  readonly to: number;
  /** Infinity: never null. */
  readonly nullableFrom: number;
  /** -1: not tagged. */
  readonly tag: number;
  /** What an absent field is; undefined: it may not be left out. */
  readonly fallback: unknown;
}

const EVERYWHERE: Placement = {
  from: 0,
  to: Number.POSITIVE_INFINITY,
  nullableFrom: Number.POSITIVE_INFINITY,
  tag: -1,
  fallback: undefined,
};

/**
 * A field. `Out` is what decoding gives, `In` what encoding takes; an `Optional` field may be left
 * out when encoding and is then its fallback. Decoding always gives every field: one that the
 * version does not have is its fallback.
 */
export class Row<Out, In = Out, Optional extends boolean = false> {
  declare readonly $out: Out;
  declare readonly $in: In;
  declare readonly $optional: Optional;
  readonly type: WireType;
  readonly zero: unknown;
  readonly place: Placement;

  constructor(type: WireType, zero: unknown, place: Placement = EVERYWHERE) {
    this.type = type;
    this.zero = zero;
    this.place = place;
  }

  /** On the wire in versions `from` to `to` only. */
  v(from: number, to: number = Number.POSITIVE_INFINITY): Row<Out, In, true> {
    return this.#with({ from, to, fallback: this.#fallbackNow() });
  }

  /** What the field is where it is absent or left out. */
  or(fallback: Out): Row<Out, In, true> {
    return this.#with({ fallback });
  }

  /** May be null from this version on. In older versions null is written as the empty value. */
  nullable(nullableFrom = 0): Row<Out | null, In | null, Optional> {
    const fallback = this.place.fallback === undefined ? undefined : null;
    return this.#with({ nullableFrom, fallback });
  }

  /** A tagged field: absent means its fallback. */
  tag(tag: number): Row<Out, In, true> {
    return this.#with({ tag, fallback: this.#fallbackNow() });
  }

  #fallbackNow(): unknown {
    if (this.place.fallback !== undefined) return this.place.fallback;
    return this.place.nullableFrom === Number.POSITIVE_INFINITY ? this.zero : null;
  }

  #with<O, I, P extends boolean>(change: Partial<Placement>): Row<O, I, P> {
    return new Row<O, I, P>(this.type, this.zero, { ...this.place, ...change });
  }
}

export type AnyRow = Row<unknown, unknown, boolean>;
export type Rows = { readonly [field: string]: AnyRow };

/** What decoding a struct gives. */
export type Decoded<R extends Rows> = { readonly [K in keyof R]: R[K]['$out'] };

type OptionalKeys<R extends Rows> = {
  [K in keyof R]: R[K]['$optional'] extends true ? K : never;
}[keyof R];

/** What encoding a struct takes. */
export type Encodable<R extends Rows> = {
  readonly [K in Exclude<keyof R, OptionalKeys<R>>]: R[K]['$in'];
} & { readonly [K in OptionalKeys<R>]?: R[K]['$in'] | undefined };
