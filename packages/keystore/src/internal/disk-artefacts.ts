/** Which artefacts a path ends in: for the custody check. */
// oxlint-disable no-await-in-loop -- the nearest folder that is there
import * as nodeFileSystem from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Artefact } from '../half-source.js';
import { VIRTUAL_MACHINE } from '../custody-check.js';
import type { FileSystem } from './secret-file.js';

/** `f_type` of file systems that live on another machine: statfs(2), linux/magic.h. */
const NETWORK_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x00c36400, // Ceph
]);

/**
 * @param path need not exist: then the nearest folder above it that does is taken
 * @returns the file system, and the virtual machine whose disk it is on unless it is a network
 *   file system. Whether there is a virtual machine is not asked: another half that is in one says so.
 */
export async function diskArtefacts(
  path: string,
  fileSystem: Pick<FileSystem, 'stat' | 'statfs'> = nodeFileSystem,
): Promise<readonly Artefact[]> {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { dev } = await fileSystem.stat(at);
      const { type } = await fileSystem.statfs(at);
      const disk = { id: `file-system:${dev}`, label: `the file system of ${at}` };
      return NETWORK_FILE_SYSTEMS.has(type) ? [disk] : [disk, VIRTUAL_MACHINE];
    } catch {
      if (at === dirname(at)) return [];
    }
  }
}
