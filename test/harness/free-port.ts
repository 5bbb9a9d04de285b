import { once } from 'node:events';
import { createServer } from 'node:net';

const FIRST_PORT = 15_000;
/** Below Linux' ephemeral range, so that no outgoing connection takes the port between the check and the use. */
const LAST_PORT = 32_000;
/** Redis Cluster's bus listens this much higher. */
const BUS_OFFSET = 10_000;

/** A TCP port of 127.0.0.1 that is free now, whose cluster bus port is free too. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
