/** Whether nobody else can put a file into a folder, or another folder in its place. */
import * as nodeFileSystem from 'node:fs/promises';
import { dirname } from 'node:path';

/** Whose files they are to be. */
export interface FolderUser {
  /** Effective user id; `undefined` where there are none: then owners are not checked. */
  readonly userId: number | undefined;
  /** Effective group id. */
  readonly groupId: number | undefined;
}

const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * The folder must belong to the user or root and be closed to others' writing (a group of the user's own, as
 * Debian gives each, may write); further up, nobody else may be able to put another folder in its place,
 * which is what a world-writable folder without the sticky bit allows.
 * A user who owns a folder further up gains nothing where a file that is not the user's or root's is refused.
 * @returns what is wrong, as a sentence without its end; `undefined` when nothing is
 */
export async function folderProblem(
  folder: string,
  user: FolderUser,
  fileSystem: Pick<typeof nodeFileSystem, 'realpath' | 'stat'> = nodeFileSystem,
): Promise<string | undefined> {
  const real = await fileSystem.realpath(folder);
  for (let at = real; ; at = dirname(at)) {
    // oxlint-disable-next-line no-await-in-loop -- from the folder upwards
    const { mode, uid, gid } = await fileSystem.stat(at);
    const isSticky = (mode & STICKY) !== 0;
    if ((mode & OTHERS_WRITE) !== 0 && !isSticky) return `everybody can write in the folder ${at}`;
    if (at === real) {
      if (!isTrusted(uid, user)) return `the folder ${at} belongs to user ${uid}`;
      const isOwnGroup = gid === user.groupId && gid === user.userId;
      if ((mode & GROUP_WRITE) !== 0 && !isSticky && !isOwnGroup) {
        return `group ${gid} can write in the folder ${at}`;
      }
    }
    if (at === dirname(at)) return undefined;
  }
}

/** Whether a file or folder of a user id may be believed: it is the user's, or root's. */
export function isTrusted(uid: number, { userId }: FolderUser): boolean {
  return userId === undefined || uid === 0 || uid === userId;
}
