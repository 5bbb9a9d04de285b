/** Where the local Unix socket of a server is, for it and for commands beside it. */
import { join } from 'node:path';
import { DATA_FOLDER } from '@vault/redis-store';
import type { Settings } from './settings.js';

const LOCAL_SOCKET_FILE = DATA_FOLDER.localSocket.name;

export function localSocketOf(settings: Settings): string {
  return settings['http.socket'] ?? join(settings.datadir, LOCAL_SOCKET_FILE);
}
