/** Root leaves nothing in the data folder that the server's user cannot read. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { giveToOwner, ownerToBe, replaceFile } from '../../src/files/index.js';

const SOMEBODY = 65_534;
const isRoot = process.geteuid?.() === 0;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vault-owner-'));
  if (isRoot) chownSync(folder, SOMEBODY, SOMEBODY);
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = (): string => join(folder, 'vault-state');

it('gives what root writes to the owner of a folder that was named, and nobody else’s', async () => {
  const { uid, gid } = statSync(folder);
  expect(await ownerToBe(file(), 0)).toBeUndefined();
  giveToOwner(`${folder}/`);
  expect(await ownerToBe(file(), 0)).toEqual({ uid, gid });
  expect(await ownerToBe(file(), uid)).toBeUndefined();
  expect(await ownerToBe(join(folder, 'below', 'file'), 0)).toBeUndefined();
});

it('writes files that belong to the owner of the folder, whoever writes', async () => {
  giveToOwner(folder);
  await replaceFile(file(), 'x', { mode: 0o600 });
  const { uid, gid } = statSync(folder);
  expect(statSync(file())).toMatchObject({ uid, gid });
  expect(statSync(file()).mode & 0o777).toBe(0o600);
});
