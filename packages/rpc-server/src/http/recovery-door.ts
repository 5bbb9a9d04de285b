/**
 * The port of recovery mode: on loopback, and there only while the mode lasts. No proxy is set up for
 * it, as one may be for the port that is served otherwise, so that who comes in is on this machine or
 * tunnels to it, whatever headers say.
 */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { StoreLogger } from '@vault/redis-store';

const HOST = '127.0.0.1';

export class RecoveryDoor {
  readonly #server: Server;
  readonly #logger: StoreLogger;

  /** @param server has the handlers of the API */
  constructor(server: Server, logger: StoreLogger) {
    this.#server = server;
    this.#logger = logger;
  }

  /**
   * Listens; at any free port where somebody else has the one that was asked for.
   * @returns the URL, `http://127.0.0.1:7401`
   */
  async open(port: number): Promise<string> {
    try {
      await this.#listen(port);
    } catch (error) {
      const { code = 'unknown error' } = error as NodeJS.ErrnoException;
      this.#logger.warn('the port for recovery cannot be had: another one is taken', {
        port,
        reason: code,
      });
      await this.#listen(0);
    }
    return `http://${HOST}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Takes no more connections; those that are open go on, such as that of the import that ended the mode. */
  close(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** @returns once the last connection has ended */
  async stop(): Promise<void> {
    if (!this.#server.listening) return this.#server.closeAllConnections();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    return undefined;
  }

  async #listen(port: number): Promise<void> {
    const listening = once(this.#server, 'listening');
    this.#server.listen(port, HOST);
    await listening;
  }
}
