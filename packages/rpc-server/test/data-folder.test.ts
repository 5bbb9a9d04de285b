/** Root runs some of these tests and ordinary users others: who uses the folder is told, and its owner is the one of the test. */
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SOURCE_TABLE } from '@vault/keystore';
import { DATA_FOLDER } from '@vault/redis-store';
import { prepareDataFolder } from '../src/data-folder.js';
import { Resources } from '../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../test/harness/temporary-folder.js';

const NOBODY = 65_534;
const resources = new Resources();
afterEach(() => resources.stop());

let folder: string;
let base: string;
let owner: { userId: number; groupId: number };
beforeEach(() => {
  base = resources.use(new TemporaryFolder('vault-data')).path;
  folder = `${base}/data`;
  const { uid, gid } = statSync(base);
  owner = { userId: uid, groupId: gid };
});

function makeFolder(mode: number): void {
  mkdirSync(folder);
  chmodSync(folder, mode);
}

it('has the half file under the name that the source of halves gives it', () => {
  expect(SOURCE_TABLE.file.defaultPlace).toBe(`<datadir>/${DATA_FOLDER.halfFile.name}`);
});

describe('the data folder', () => {
  it('is made for its user alone', async () => {
    expect(await prepareDataFolder(folder, owner)).toBeUndefined();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it.each([0o755, 0o750, 0o711])('with mode %o is served with a warning', async (mode) => {
    makeFolder(mode);
    expect(await prepareDataFolder(folder, owner)).toContain('is open to group or others');
  });

  it.each([
    [0o777, 'everybody can write in the folder'],
    [0o702, 'everybody can write in the folder'],
    [0o770, 'can write in the folder'],
    [0o720, 'can write in the folder'],
  ])('with mode %o is refused, saying what to do', async (mode, problem) => {
    makeFolder(mode);
    // A group of its own, of the same number as the user, may write.
    const user = { ...owner, groupId: owner.groupId + 1 };
    await expect(prepareDataFolder(folder, user)).rejects.toMatchObject({
      code: 'CONFIG_UNREADABLE',
      message: expect.stringMatching(new RegExp(`^datadir: .*${problem}.*chmod 700 it`)),
    });
  });

  it('of another user is refused, and root is warned', async () => {
    makeFolder(0o700);
    if (owner.userId === 0) chownSync(folder, NOBODY, NOBODY);
    const stranger = { userId: NOBODY - 1, groupId: NOBODY - 1 };
    await expect(prepareDataFolder(folder, stranger)).rejects.toMatchObject({
      message: expect.stringContaining('belongs to user'),
    });
    const root = { userId: 0, groupId: 0 };
    expect(await prepareDataFolder(folder, root)).toContain('run it as that user');
  });

  it('in a folder that everybody can change is refused: another could be put in its place', async () => {
    chmodSync(base, 0o777);
    makeFolder(0o700);
    await expect(prepareDataFolder(folder, owner)).rejects.toMatchObject({
      message: expect.stringContaining(`everybody can write in the folder ${base}`),
    });
  });

  it('is no link', async () => {
    symlinkSync(base, folder);
    await expect(prepareDataFolder(folder, owner)).rejects.toMatchObject({ code: 'CONFIG_TYPE' });
  });
});
