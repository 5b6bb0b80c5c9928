import { describe, expect, test } from 'vitest';
import { NodeRunQueue } from '../../../src/env/node/run-queue.ts';

describe('the run queue', () => {
  test('tasks of one phase share one immediate and run in order', async () => {
    const queue = new NodeRunQueue();
    const ran: number[] = [];
    for (let i = 0; i < 100; i += 1) queue.soon(() => ran.push(i));
    expect(ran).toEqual([]);
    await new Promise<void>((resolve) => queue.soon(resolve));
    expect(ran).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(queue.phaseCount).toBe(1);
  });

  test('a task queued by a task runs in the next phase', async () => {
    const queue = new NodeRunQueue();
    const ran: string[] = [];
    queue.soon(() => {
      ran.push('first');
      queue.soon(() => ran.push('third'));
    });
    queue.soon(() => ran.push('second'));
    await new Promise<void>((resolve) => queue.soon(() => queue.soon(resolve)));
    expect(ran).toEqual(['first', 'second', 'third']);
    expect(queue.phaseCount).toBe(2);
  });

  test('a task that throws does not swallow those behind it', async () => {
    const queue = new NodeRunQueue();
    const seen: string[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => seen.push(error.message));
    queue.soon(() => {
      throw new Error('broken task');
    });
    await new Promise<void>((resolve) => queue.soon(resolve));
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(seen).toEqual(['broken task']);
  });
});
