import { expect, test } from '@jest/globals';
import { OneAtATime } from '../../src/rpc/one-at-a-time.js';

test('work of one key waits for that before, whatever became of it; that of another does not', async () => {
  const serial = new OneAtATime();
  const order: string[] = [];
  let fail: (error: Error) => void = () => undefined;
  const first = serial.run('a', 'me', () => {
    order.push('a1');
    return new Promise<void>((_, reject) => (fail = reject));
  });
  const second = serial.run('a', 'me', () => order.push('a2'));
  await serial.run('b', 'me', () => order.push('b1'));
  expect(order).toEqual(['a1', 'b1']);
  fail(new Error('of the first alone'));
  await expect(first).rejects.toThrow('of the first alone');
  await second;
  expect(order).toEqual(['a1', 'b1', 'a2']);
  expect(serial.size).toBe(0);
});

test('who asked for less waits for one work of each other, not for all that they asked for', async () => {
  const serial = new OneAtATime();
  const order: string[] = [];
  const asked = ['thief', 'thief', 'thief', 'thief', 'owner', 'owner', 'other'].map((who) =>
    serial.run('a', who, () => order.push(who)),
  );
  await Promise.all(asked);
  expect(order).toEqual(['thief', 'thief', 'owner', 'other', 'thief', 'owner', 'thief']);
  expect(serial.size).toBe(0);
});
