// Senders that wait until a mailbox has room, or its actor is gone: woken all at once, as whoever comes
// first takes the room. Made when somebody waits.
export class RoomWaiters {
  #waiters: (() => void)[] = [];

  wait(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
