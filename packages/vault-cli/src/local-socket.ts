/**
 * The Unix socket of a server on this machine. A server has it in its data folder, where only its user and
 * root can open it; both can be set by variables of the environment, which the server reads, too.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

/** The default of the server's `datadir`; a test compares them. */
export const DEFAULT_DATA_FOLDER = '/var/lib/vault-server/data';
const SOCKET_FILE = 'vault.sock';

/** Where a server with these variables listens. */
export function localSocketOf(environment: NodeJS.ProcessEnv): string {
  const { VAULT_HTTP_SOCKET: socket = '', VAULT_DATADIR: folder = '' } = environment;
  if (socket !== '') return socket;
  return join(folder === '' ? DEFAULT_DATA_FOLDER : folder, SOCKET_FILE);
}

/** Whether there is a socket that this user can see. */
export async function isSocket(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isSocket() === true;
}
