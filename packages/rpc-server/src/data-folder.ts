/** The data folder of the server. */
import { lstat, mkdir } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { folderProblem } from '@vault/crypto/files';
import type { FolderUser } from '@vault/crypto/files';
import { ConfigError } from './config/errors.js';

const GROUP_AND_OTHERS = 0o077;
const ROOT_USER_ID = 0;

/**
 * Makes the folder with mode 0700, or checks the one that is there.
 * @returns a warning when others may look into it, or root uses that of another user
 * @throws {ConfigError} when it cannot be used, or others can write in it or put another one in its place
 */
export async function prepareDataFolder(
  folder: string,
  user: FolderUser = { userId: process.geteuid?.(), groupId: process.getegid?.() },
): Promise<string | undefined> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const status = await lstat(folder);
    if (!status.isDirectory()) {
      throw new ConfigError('CONFIG_TYPE', `datadir: ${folder} is not a folder`);
    }
    const isOfAnother = user.userId === ROOT_USER_ID && status.uid !== ROOT_USER_ID;
    // Root may use the folder of the server's user; whether others can write there is asked for that user then.
    const problem = await folderProblem(folder, isOfAnother ? ownerOf(status) : user);
    if (problem !== undefined) {
      throw new ConfigError(
        'CONFIG_UNREADABLE',
        `datadir: ${problem}: whoever can write there decides what this server believes; let ${folder} belong to the user of the server, chmod 700 it, and look at what is in it`,
      );
    }
    if (isOfAnother) {
      return `the data folder ${folder} belongs to user ${status.uid}, and this is root: what its own Redis makes there that user may not be able to read; run it as that user`;
    }
    return (status.mode & GROUP_AND_OTHERS) === 0
      ? undefined
      : `the data folder ${folder} is open to group or others: chmod 700`;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new ConfigError('CONFIG_UNREADABLE', `datadir: ${folder} cannot be used (${code})`);
  }
}

/** Debian gives each user a group of the same number. */
function ownerOf({ uid }: Stats): FolderUser {
  return { userId: uid, groupId: uid };
}
