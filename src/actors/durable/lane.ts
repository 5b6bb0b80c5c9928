// The commands of one client to one log, in their order, until each has its answer. Whoever leads may have to hear
// them again: a command keeps its number. Pure: it says what to send, and is told what became of it.
import { ByteWriter } from '../../std/bytes.ts';
import { NUMBERED } from './numbered.ts';

/** How many may be without an answer; the others wait. Fewer than a log remembers answers of a client. */
const WINDOW = 64;

export interface LaneClient {
  readonly clientId: number;
  /** Grows with every start of the client. */
  readonly life: number;
}

export interface LaneCommand {
  readonly body: Uint8Array;
  /** 0: not sent yet. */
  number: number;
  /** It is on its way, or waits for its answer, under this token; 0: it is to be sent. */
  token: number;
  /** Somebody may have taken it whose answer will not come. */
  isUnknown: boolean;
}

export class Lane<C extends LaneCommand> {
  /** In the order in which they came; the first WINDOW may be out. */
  readonly #commands: C[] = [];

  get isEmpty(): boolean {
    return this.#commands.length === 0;
  }

  get commands(): readonly C[] {
    return this.#commands;
  }

  add(command: C): void {
    this.#commands.push(command);
  }

  has(command: C): boolean {
    return this.#commands.includes(command);
  }

  /** It has its answer, or nobody waits for it any more. */
  remove(command: C): void {
    const at = this.#commands.indexOf(command);
    if (at >= 0) this.#commands.splice(at, 1);
  }

  /** Those to be sent now, in order. `send` answers the token. */
  send(
    client: LaneClient,
    nextNumber: () => number,
    send: (command: C, bytes: Uint8Array) => number,
  ): void {
    const commands = this.#commands.slice(0, WINDOW);
    let previous = 0;
    for (const command of commands) {
      if (command.number === 0) command.number = nextNumber();
      if (command.token === 0) {
        const settledBelow = commands[0]!.number;
        command.token = send(command, encode(client, command, previous, settledBelow));
      }
      previous = command.number;
    }
  }

  /** All that are out are to be sent again, and may have been taken. Answers the tokens that are not waited for. */
  recall(): number[] {
    const tokens: number[] = [];
    for (const command of this.#commands) {
      if (command.token === 0) continue;
      tokens.push(command.token);
      command.token = 0;
      command.isUnknown = true;
    }
    return tokens;
  }
}

function encode(
  { clientId, life }: LaneClient,
  { number, body }: LaneCommand,
  previous: number,
  settledBelow: number,
): Uint8Array {
  const out = new ByteWriter(body.length + 32);
  out.u16(NUMBERED);
  out.varU53(clientId);
  out.varU53(life);
  out.varU53(number);
  out.varU53(previous);
  out.varU53(settledBelow);
  out.raw(body);
  return out.toBytes();
}
