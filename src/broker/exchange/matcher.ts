// What every kind of exchange does: it keeps the targets of its bindings and finds those of a message.
// Here are the kinds that need no more than a look-up.
import type { BindingView } from '../../cluster/ports.ts';
import { encodeUtf8 } from '../../std/bytes.ts';
import { ByteMap } from './byte-map.ts';
import type { Collector } from './collector.ts';
import type { RouteInput } from './route-input.ts';
import { Slots } from './slots.ts';
import { type Target, Targets } from './targets.ts';

export interface Matcher {
  add(binding: BindingView, target: Target): void;
  remove(binding: BindingView, target: Target): void;
  match(input: RouteInput, into: Collector): void;
}

/** The key is equal, byte for byte. */
export class DirectMatcher implements Matcher {
  readonly #keys = new ByteMap();
  readonly #slots = new Slots();
  readonly #targets: Targets[] = [];

  add(binding: BindingView, target: Target): void {
    const key = encodeUtf8(binding.routingKey);
    let slot = this.#keys.get(key);
    if (slot < 0) {
      slot = this.#slots.take();
      this.#targets[slot] = new Targets();
      this.#keys.set(key, slot);
    }
    this.#targets[slot]!.add(target);
  }

  remove(binding: BindingView, target: Target): void {
    const key = encodeUtf8(binding.routingKey);
    const slot = this.#keys.get(key);
    if (slot < 0) return;
    this.#targets[slot]!.remove(target);
    if (!this.#targets[slot]!.isEmpty) return;
    this.#keys.delete(key);
    this.#slots.giveBack(slot);
  }

  match(input: RouteInput, into: Collector): void {
    const { bytes, spans, keyCount } = input;
    for (let i = 0; i < keyCount; i += 1) {
      const slot = this.#keys.find(bytes, spans[2 * i]!, spans[2 * i + 1]!);
      if (slot >= 0) into.take(this.#targets[slot]!);
    }
  }
}

/** Every message, whatever its key. */
export class FanoutMatcher implements Matcher {
  readonly #targets = new Targets();

  add(_binding: BindingView, target: Target): void {
    this.#targets.add(target);
  }

  remove(_binding: BindingView, target: Target): void {
    this.#targets.remove(target);
  }

  match(_input: RouteInput, into: Collector): void {
    into.take(this.#targets);
  }
}

/** The exchange without a name: the key is the name of the queue. */
export class NameMatcher implements Matcher {
  readonly #queues: ByteMap;

  constructor(queues: ByteMap) {
    this.#queues = queues;
  }

  add(): void {
    // It cannot be bound.
  }

  remove(): void {
    // It cannot be bound.
  }

  match(input: RouteInput, into: Collector): void {
    const { bytes, spans, keyCount } = input;
    for (let i = 0; i < keyCount; i += 1) {
      const queue = this.#queues.find(bytes, spans[2 * i]!, spans[2 * i + 1]!);
      if (queue >= 0) into.takeOne(queue);
    }
  }
}

/** A type that only a newer version knows: this one routes nothing through it. */
export class UnknownMatcher implements Matcher {
  add(): void {
    // Whatever it would mean.
  }

  remove(): void {
    // Whatever it meant.
  }

  match(): void {
    // No target.
  }
}
