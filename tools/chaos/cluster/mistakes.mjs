// Mistakes that a broker could make, made between what clients saw and the books: a run with one must fail.

/** After so many deliveries, so that it is in the middle of a run. */
const AFTER = 200;
const LANE = 'amqp quorum';

/** By name: makes of a list of deliveries of one lane the list that the books are told. */
const KINDS = {
  /** One message never comes, to anybody. */
  drop: (state, rows) => {
    state.id ??= state.count > AFTER ? rows[0]?.id : undefined;
    return rows.filter(({ id }) => id !== state.id);
  },
  /** One message comes twice, and nothing says so. */
  repeat: (state, rows) => {
    if (state.isDone || state.count <= AFTER || rows.length === 0 || rows[0].isFlagged) return rows;
    state.isDone = true;
    return [rows[0], ...rows];
  },
  /** One message comes behind the one that was published after it. */
  swap: (state, rows) => {
    if (state.held !== undefined) {
      const held = state.held;
      state.held = undefined;
      return [rows[0], held, ...rows.slice(1)];
    }
    if (state.isDone || state.count <= AFTER || rows.length === 0 || rows[0].isFlagged) return rows;
    state.isDone = true;
    state.held = rows[0];
    return rows.slice(1);
  },
};
export const MISTAKES = Object.keys(KINDS);

export class Mistake {
  #make;
  #state = { count: 0 };

  constructor(name) {
    this.#make = name === undefined ? undefined : KINDS[name];
  }

  /** What the books are told in place of `rows`. */
  of(lane, rows) {
    if (this.#make === undefined || lane !== LANE) return rows;
    this.#state.count += rows.length;
    return this.#make(this.#state, rows);
  }
}
