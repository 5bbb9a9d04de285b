/**
 * The API on a Unix socket in the data folder, mode 0600: the way in of whoever administers this
 * machine, whatever strangers do to the port. TLS and certificates do not concern it.
 */
import { once } from 'node:events';
import { lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';

/** `sun_path` of Linux, with the zero byte at its end (unix(7)). */
const PATH_BYTES_MAX = 107;
const GROUP_AND_OTHERS = 0o177;

/** Why there is no local socket; the server works without. */
export class LocalSocketError extends Error {
  readonly code = 'LOCAL_SOCKET_UNUSABLE';
  constructor(message: string) {
    super(message);
    this.name = 'LocalSocketError';
  }
}

/** Whether somebody answers at the path. */
async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Takes away what a server left behind that was killed. @throws {LocalSocketError} for anything else at the path */
async function clear(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) return;
  if (!status.isSocket()) throw new LocalSocketError(`${path} is there and is no socket`);
  if (await isAnswered(path)) throw new LocalSocketError(`another server answers at ${path}`);
  await unlink(path).catch(() => undefined);
}

/**
 * Lets a server listen at the path too.
 * @throws {LocalSocketError} when it cannot
 */
export async function listenLocally(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new LocalSocketError(
      `${path} is longer than the ${PATH_BYTES_MAX} bytes that a Unix socket can have: set http.socket`,
    );
  }
  await clear(path);
  const listening = once(server, 'listening');
  // The file is made inside listen(): nobody else ever sees it with another mode.
  const before = process.umask(GROUP_AND_OTHERS);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
  try {
    await listening;
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new LocalSocketError(`${path} cannot be listened at (${code})`);
  }
}
