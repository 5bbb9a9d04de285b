/**
 * Bearer tokens of recovery mode, for clients that open a connection for each call, as `xo-cli` does:
 * in memory alone, gone with the mode or after an hour.
 */
import { createHash, randomBytes } from 'node:crypto';
import { invalidParameters } from '../rpc/api-error.js';
import { parseDurationMs } from '../session/duration.js';

/** Time to sign in, find the backup and import it. */
const VALIDITY_MS = 3_600_000;
/** As of other tokens. */
const VALIDITY_MIN_MS = 60_000;
const BEARER_BYTES = 32;
/** The oldest goes: nobody needs more at once. */
const TOKENS_MAX = 32;

function hashOf(bearer: string): string {
  return createHash('sha256').update(bearer).digest('hex');
}

function validityOf(expiresIn: unknown): number {
  if (typeof expiresIn !== 'string' && typeof expiresIn !== 'number') return VALIDITY_MS;
  const wanted = parseDurationMs(expiresIn);
  if (wanted !== undefined && wanted >= VALIDITY_MIN_MS) return Math.min(wanted, VALIDITY_MS);
  const message = `must be a duration of at least ${VALIDITY_MIN_MS} ms`;
  throw invalidParameters([{ instancePath: '/expiresIn', message }]);
}

export class RecoveryTokens {
  readonly #now: () => number;
  /** By hash, so that no table of bearers is in memory; the oldest first. */
  readonly #expiresAtMs = new Map<string, number>();

  /** @param now milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * @param expiresIn as of `token.create`; never more than an hour
   * @throws {ApiError} INVALID_PARAMETERS
   */
  create(expiresIn: unknown): string {
    const validityMs = validityOf(expiresIn);
    const [oldest] = this.#expiresAtMs.keys();
    if (oldest !== undefined && this.#expiresAtMs.size >= TOKENS_MAX) {
      this.#expiresAtMs.delete(oldest);
    }
    const bearer = randomBytes(BEARER_BYTES).toString('base64url');
    this.#expiresAtMs.set(hashOf(bearer), this.#now() + validityMs);
    return bearer;
  }

  /** Forgets all. */
  clear(): void {
    this.#expiresAtMs.clear();
  }

  /** @returns when it expires, ms since the epoch; `undefined` for one that is not, or not any more, ours */
  expiryOf(bearer: string): number | undefined {
    const expiresAtMs = this.#expiresAtMs.get(hashOf(bearer));
    return expiresAtMs !== undefined && expiresAtMs > this.#now() ? expiresAtMs : undefined;
  }
}
