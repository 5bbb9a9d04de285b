/** A redis-server of the benchmark's own: Unix socket and TCP, nothing on disk unless asked for. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * @param files folder whose AOF it loads, and which stays
 * @returns `{ socketPath, url, folder, client(), stop() }`
 */
export async function startRedis({ appendonly = false, files } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'vault-bench-'));
  const socketPath = join(folder, 'redis.sock');
  const port = await freePort();
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--unixsocket',
    socketPath,
    '--dir',
    files ?? folder,
  ];
  const child = spawn(
    'redis-server',
    [...args, '--save', '', '--appendonly', appendonly ? 'yes' : 'no', '--rdbcompression', 'no'],
    { stdio: 'ignore' },
  );
  const clients = [];
  const client = () => {
    const made = new Redis(socketPath, { maxRetriesPerRequest: null });
    made.on('error', () => undefined);
    clients.push(made);
    return made;
  };
  await client().ping();
  return {
    socketPath,
    url: `redis://127.0.0.1:${port}`,
    folder,
    client,
    stop: async () => {
      for (const one of clients) one.disconnect();
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
