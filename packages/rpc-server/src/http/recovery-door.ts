/**
 * The port of recovery mode: on loopback, and there only while the mode lasts. No proxy is set up for
 * it, as one may be for the port that is served otherwise, so that who comes in is on this machine or
 * tunnels to it, whatever headers say.
 *
 * Any user of the machine can take the port before the server does, and would be given the recovery
 * password and the backup by whoever follows the documents. So no other one is taken in its place: the
 * operator, who knows that one by heart, would not notice. The local socket remains.
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
   * Listens.
   * @returns the URL, `http://127.0.0.1:7401`; `undefined` where the port cannot be had
   */
  async open(port: number): Promise<string | undefined> {
    try {
      await this.#listen(port);
    } catch (error) {
      const { code = 'unknown error' } = error as NodeJS.ErrnoException;
      const message = `port ${port} of ${HOST} cannot be had: give the recovery password to nobody who answers there`;
      this.#logger.error(message, {
        reason: code,
        advice: 'use the local socket; or set http.recoveryPort to another port and start again',
      });
      return undefined;
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
