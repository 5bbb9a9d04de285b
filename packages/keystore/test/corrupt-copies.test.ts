/** Copies of corrupt values that were put aside: listed, and gone with their key, or named as left. */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHalfSource } from '../src/create-half-source.js';
import { SplitKeystore } from '../src/split-keystore.js';
import { makePlace } from './source-environment.js';
import type { TestPlace } from './source-environment.js';

let at: TestPlace;
let keystore: SplitKeystore;
let pathB: string;
beforeEach(() => {
  at = makePlace();
  pathB = at.folder.join('data/half-b');
  keystore = new SplitKeystore({
    halfA: createHalfSource(
      { source: 'file', path: at.folder.join('data/half-a') },
      at.environment,
    ),
    halfB: createHalfSource({ source: 'file', path: pathB }, at.environment),
  });
});
afterEach(() => at.folder.stop());

function plant(path: string, text: string): void {
  rmSync(path, { force: true });
  writeFileSync(path, text, { mode: 0o400 });
}

const ACTIVE = 'aaaaaaaaaaaaaaaa';

describe('a corrupt copy', () => {
  test('is listed with the keys that it names, whole or damaged', async () => {
    const { id } = await keystore.append();
    const copy = `${pathB}.corrupt-1`;
    plant(copy, `${id}:${'a1'.repeat(32)}\n${ACTIVE}:torn`);
    expect(await keystore.inventory()).toContainEqual({
      half: 'B',
      kind: 'corruptCopy',
      place: `file ${copy}`,
      keyIds: [id, ACTIVE].toSorted(),
    });
    expect(JSON.stringify(await keystore.inventory())).not.toContain('a1a1');
  });

  test('goes with its key, though numbers before it are free', async () => {
    const { id } = await keystore.append();
    await keystore.append();
    plant(`${pathB}.corrupt-3`, `${id}:${'a1'.repeat(32)}`);
    plant(`${pathB}.corrupt-5`, `${id}:torn`);
    expect(await keystore.remove(id)).toEqual([]);
    expect(readdirSync(at.environment.dataDir).toSorted()).toEqual(['half-a', 'half-b']);
  });

  test('goes with its key where its other lines stand in the value as well', async () => {
    const first = await keystore.append();
    const whole = (await import('node:fs')).readFileSync(pathB, 'utf8');
    await keystore.append();
    plant(`${pathB}.corrupt-1`, (await import('node:fs')).readFileSync(pathB, 'utf8'));
    plant(`${pathB}.corrupt-2`, whole);
    expect(await keystore.remove(first.id)).toEqual([]);
    expect(readdirSync(at.environment.dataDir).toSorted()).toEqual(['half-a', 'half-b']);
  });

  test.each([
    ['a half of another key that stands nowhere else', `${ACTIVE}:${'a1'.repeat(32)}`, ACTIVE],
    ['a damaged line of another key', `${ACTIVE}:torn`, ACTIVE],
    ['something that names no key', 'a1'.repeat(31), 'names no key'],
  ])('is left, and named, where it holds %s', async (_what, line, reason) => {
    const { id } = await keystore.append();
    await keystore.append();
    const copy = `${pathB}.corrupt-1`;
    plant(copy, `${id}:${'b1'.repeat(32)}\n${line}`);
    expect(await keystore.remove(id)).toEqual([
      { keyId: id, place: `file ${copy}`, reason: expect.stringContaining(reason) },
    ]);
    expect(existsSync(copy)).toBe(true);
  });

  test('of other keys only has no part in it', async () => {
    const { id } = await keystore.append();
    plant(`${pathB}.corrupt-1`, `${ACTIVE}:${'a1'.repeat(32)}`);
    expect(await keystore.remove(id)).toEqual([]);
    expect(existsSync(`${pathB}.corrupt-1`)).toBe(true);
  });
});

test('secrets that the server cannot write are named as left, with their variable', async () => {
  const variables: Record<string, string> = {
    VAULT_MASTER_KEY: Buffer.alloc(32, 1).toString('base64'),
  };
  const env = { ...at.environment, variables };
  const withEnv = (): SplitKeystore =>
    new SplitKeystore({
      halfA: createHalfSource({ source: 'env' }, env),
      halfB: createHalfSource({ source: 'file', path: pathB }, env),
    });
  const first = await withEnv().append();
  variables['VAULT_MASTER_KEY_PREVIOUS'] = variables['VAULT_MASTER_KEY'] ?? '';
  variables['VAULT_MASTER_KEY'] = Buffer.alloc(32, 2).toString('base64');
  const second = await withEnv().append();
  expect(
    (await withEnv().inventory()).map(({ kind, place, keyIds }) => [kind, place, keyIds]),
  ).toEqual([
    ['previous', 'env VAULT_MASTER_KEY_PREVIOUS', [first.id]],
    ['readOnly', 'env VAULT_MASTER_KEY', [second.id]],
    ['line', `file ${pathB}`, [first.id, second.id].toSorted()],
  ]);
  expect(await withEnv().remove(first.id)).toEqual([
    {
      keyId: first.id,
      place: 'env VAULT_MASTER_KEY_PREVIOUS',
      reason: expect.stringContaining('by hand'),
    },
  ]);
});

test('a half that was lost is put back from the key that is still in memory', async () => {
  const key = await keystore.append();
  rmSync(pathB);
  await keystore.putBack(key);
  expect(await keystore.load()).toMatchObject({ state: 'paired', ring: { ids: [key.id] } });
});
