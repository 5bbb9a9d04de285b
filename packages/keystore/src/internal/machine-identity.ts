/** What a machine is called: no secret in it. */
// oxlint-disable no-await-in-loop -- the first file that is there
import { readFile } from 'node:fs/promises';
import { hostname, release, type, userInfo, version } from 'node:os';

export interface MachineIdentity {
  /** machine-id(5): 32 hex digits, made when the system was installed. */
  readonly machineId: string | undefined;
  /** Without the domain. */
  readonly hostName: string;
  readonly userName: string;
  /** `PRETTY_NAME` of os-release(5), else kernel name, release and version: what .NET 8 and later give as `OSDescription` on Linux. */
  readonly osDescription: string;
}

const MACHINE_ID_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id'];
const OS_RELEASE_FILES = ['/etc/os-release', '/usr/lib/os-release'];

export async function readMachineIdentity(): Promise<MachineIdentity> {
  const machineId = (await firstFile(MACHINE_ID_FILES))?.trim();
  const osRelease = await firstFile(OS_RELEASE_FILES);
  const prettyName = osRelease?.match(/^PRETTY_NAME=(["']?)(.+)\1$/m)?.[2];
  return {
    machineId: machineId === '' ? undefined : machineId,
    hostName: hostname().split('.', 1)[0] ?? '',
    userName: userInfo().username,
    osDescription: prettyName ?? `${type()} ${release()} ${version()}`,
  };
}

async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    try {
      return await readFile(path, 'utf8');
    } catch {
      // Not on this system: the next one, or the caller's fallback.
    }
  }
  return undefined;
}
