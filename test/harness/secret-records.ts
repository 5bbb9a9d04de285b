import { expect } from '@jest/globals';
import type { RpcClient } from './registry-clients.js';

const AT_ONCE = 60;

/** The n-th record of collection `secret`. */
const secretOf = (n: number): { name: string; value: string } => ({
  name: `name-${n}`,
  value: `value ${n}`,
});

/** Adds the first `count` of them. */
export async function addSecrets(client: RpcClient, count: number): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => from + i);
    // oxlint-disable-next-line no-await-in-loop -- so many at once
    await Promise.all(numbers.map((n) => client.call('secret.add', secretOf(n))));
  }
}

/** Expects the first `count` of them, some searched one by one, and `others` beside them, each once. */
export async function expectSecrets(client: RpcClient, count: number, others = 0): Promise<void> {
  const all = (await client.call('secret.getAll')) as readonly { name: string }[];
  expect(all).toHaveLength(count + others);
  expect(new Set(all.map(({ name }) => name)).size).toBe(count + others);
  for (const n of [0, 1, Math.floor(count / 2), count - 1]) {
    // oxlint-disable no-await-in-loop -- a handful
    const filter = { name: `name-${n}` };
    const [found] = (await client.call('secret.getAll', { filter })) as readonly { id: string }[];
    expect(await client.call('secret.reveal', { id: found?.id })).toMatchObject(secretOf(n));
    // oxlint-enable no-await-in-loop
  }
}

/** Adds, reads and finds at all servers in turn until it is stopped; every answer is checked. */
export function writeUntilStopped(clients: readonly RpcClient[]): { stop(): Promise<number> } {
  const signal = { isStopped: false };
  const worker = async (client: RpcClient, number: number): Promise<number> => {
    let count = 0;
    for (; !signal.isStopped; count++) {
      const name = `written-${number}-${count}`;
      // oxlint-disable no-await-in-loop -- one client's steps
      const id = await client.call('secret.add', { name, value: 'first' });
      await client.call('secret.set', { id, value: name });
      const other = clients[(number + 1) % clients.length];
      expect(await other?.call('secret.getAll', { filter: { name } })).toMatchObject([{ id }]);
      expect(await other?.call('secret.reveal', { id })).toMatchObject({ name, value: name });
      // oxlint-enable no-await-in-loop
    }
    return count;
  };
  const running = Promise.all(clients.map(worker));
  return {
    stop: async () => {
      signal.isStopped = true;
      return (await running).reduce((sum, count) => sum + count, 0);
    },
  };
}
