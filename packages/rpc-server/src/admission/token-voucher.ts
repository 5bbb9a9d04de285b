/**
 * A token that is shown when a WebSocket is opened, as `Authorization: Bearer` or in a cookie, keeps a
 * place for its user, before any limit on sockets refuses: an administrator gets in while strangers
 * hold all there are. It signs nobody in, and keeps the place only while the token is valid.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { headerCredentials } from '../http/credentials.js';
import type { Identity } from '../session/session.js';
import type { Client } from './client-address.js';

/** Checks at once, of all and of one address: each asks Redis, and strangers may ask too. */
const AT_ONCE = 64;
const AT_ONCE_PER_ADDRESS = 4;

export class TokenVoucher {
  /** @throws when the token is not valid, or cannot be checked */
  readonly #check: (token: string, address: string) => Promise<Identity>;
  readonly #running = new Map<string, number>();
  #total = 0;

  constructor(check: (token: string, address: string) => Promise<Identity>) {
    this.#check = check;
  }

  /** @returns `undefined` where there is no token, or too many are being checked; never rejects */
  ask(
    headers: IncomingHttpHeaders,
    { address, key }: Client,
  ): Promise<Identity | undefined> | undefined {
    const credentials = headerCredentials(headers);
    if (credentials?.kind !== 'token' || credentials.token === '') return undefined;
    const running = this.#running.get(key) ?? 0;
    if (this.#total >= AT_ONCE || running >= AT_ONCE_PER_ADDRESS) return undefined;
    this.#running.set(key, running + 1);
    this.#total += 1;
    return this.#ask(credentials.token, address).finally(() => this.#done(key));
  }

  async #ask(token: string, address: string): Promise<Identity | undefined> {
    try {
      return await this.#check(token, address);
    } catch {
      // As a stranger then: whether the token is wrong is for the sign-in to say.
      return undefined;
    }
  }

  #done(key: string): void {
    const left = (this.#running.get(key) ?? 1) - 1;
    if (left === 0) this.#running.delete(key);
    else this.#running.set(key, left);
    this.#total -= 1;
  }
}
