/** The data folder of the server. */
import { lstat, mkdir } from 'node:fs/promises';
import { ConfigError } from './config/errors.js';

const GROUP_AND_OTHERS = 0o077;

/**
 * Makes the folder with mode 0700, or checks the one that is there.
 * @returns a warning when group or others may look into it
 * @throws {ConfigError} when it cannot be used
 */
export async function prepareDataFolder(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const status = await lstat(folder);
    if (!status.isDirectory()) {
      throw new ConfigError('CONFIG_TYPE', `datadir: ${folder} is not a folder`);
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
