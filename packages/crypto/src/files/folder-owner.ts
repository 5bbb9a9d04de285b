/**
 * Whose a new file is where root writes into the folder of somebody else: a tool that an operator runs with sudo
 * would leave files there that the server's user can neither read nor replace.
 */
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

const ROOT_USER_ID = 0;
const folders = new Set<string>();

/** From now on what root writes in this folder belongs to the folder's owner; nothing else is given away. */
export function giveToOwner(folder: string): void {
  folders.add(resolve(folder));
}

/**
 * @param userId effective; default: that of this process
 * @returns `undefined` where the file stays its writer's
 */
export async function ownerToBe(
  path: string,
  userId = process.geteuid?.(),
): Promise<FileOwner | undefined> {
  const folder = resolve(dirname(path));
  if (userId !== ROOT_USER_ID || !folders.has(folder)) return undefined;
  const { uid, gid } = await stat(folder);
  return uid === ROOT_USER_ID ? undefined : { uid, gid };
}
