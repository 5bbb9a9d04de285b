import { expect, test } from '@jest/globals';
import { FairQueue } from '../../src/session/fair-queue.js';
import type { Share } from '../../src/session/fair-queue.js';

const stranger = (key: string): Share => ({ key, isKnown: false });
const known = (key: string): Share => ({ key, isKnown: true });

/** A queue whose one place is taken until `open` is called, and what ran, in order. */
function busyQueue(waiting: number) {
  const queue = new FairQueue({ atOnce: 1, waiting });
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const refusal = (): Error => new Error('full');
  const first = queue.run(stranger('first'), () => gate, refusal);
  const ran: string[] = [];
  const add = (share: Share, name: string = share.key): Promise<unknown> =>
    queue.run(share, async () => void ran.push(name), refusal).catch(() => ran.push(`no ${name}`));
  return { add, ran, open, first };
}

test('gives each share its turn, whoever sent more', async () => {
  const { add, ran, open } = busyQueue(10);
  const all = [
    ...['a1', 'a2', 'a3'].map((name) => add(stranger('a'), name)),
    add(stranger('b'), 'b1'),
    add(stranger('c'), 'c1'),
  ];
  open();
  await Promise.all(all);
  expect(ran).toEqual(['a1', 'b1', 'c1', 'a2', 'a3']);
});

test('where it is full, the share with the most gives way to one with less', async () => {
  const { add, ran, open } = busyQueue(3);
  const all = [
    ...['a1', 'a2', 'a3'].map((name) => add(stranger('a'), name)),
    add(stranger('a'), 'a4'),
    add(stranger('b'), 'b1'),
  ];
  open();
  await Promise.all(all);
  expect(ran.toSorted()).toEqual(['a1', 'a2', 'b1', 'no a3', 'no a4']);
});

test('where every share has one, a stranger is refused, and one who is known is not', async () => {
  const { add, ran, open } = busyQueue(2);
  const all = [
    add(stranger('a')),
    add(stranger('b')),
    add(stranger('c')),
    add(known('d')),
    add(known('e')),
  ];
  open();
  await Promise.all(all);
  expect(ran.toSorted()).toEqual(['d', 'e', 'no a', 'no b', 'no c']);
});

test('no stranger takes the place of one who is known', async () => {
  const { add, ran, open } = busyQueue(2);
  const all = [add(known('a'), 'a1'), add(known('a'), 'a2'), add(stranger('b'))];
  open();
  await Promise.all(all);
  expect(ran.toSorted()).toEqual(['a1', 'a2', 'no b']);
});

test('goes on after work that failed', async () => {
  const queue = new FairQueue({ atOnce: 1, waiting: 1 });
  const failed = queue.run(
    stranger('a'),
    () => Promise.reject(new Error('no')),
    () => new Error('full'),
  );
  const next = queue.run(
    stranger('a'),
    () => Promise.resolve('yes'),
    () => new Error('full'),
  );
  await expect(failed).rejects.toThrow('no');
  expect(await next).toBe('yes');
});
