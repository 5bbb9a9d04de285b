/** Where the local Unix socket of a server is, for it and for commands beside it. */
import { join } from 'node:path';
import type { Settings } from './settings.js';

const LOCAL_SOCKET_FILE = 'vault.sock';

export function localSocketOf(settings: Settings): string {
  return settings['http.socket'] ?? join(settings.datadir, LOCAL_SOCKET_FILE);
}
