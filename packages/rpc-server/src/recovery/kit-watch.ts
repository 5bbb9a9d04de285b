/** Says in status and log whether there is a recovery kit for the active key. */
import type { KeyId } from '@vault/crypto';
import type { CredentialDatabase, CustodyReport, StoreLogger } from '@vault/redis-store';
import { kitNote, readKitState } from './kit-state.js';
import type { KitNote } from './kit-state.js';

export interface KitWatchOptions {
  readonly dataDir: string;
  /**
   * Keys that were loaded now; they are destroyed after.
   * @param activeKeyId is ours, whether its halves are labelled or not
   */
  readonly loadKeys: (activeKeyId: KeyId | null) => Promise<Pick<CustodyReport, 'ring'>>;
  readonly logger: StoreLogger;
}

const ADVICE = 'run `vault-server recovery-kit create` on the machine of the server';

export class KitWatch {
  readonly #options: KitWatchOptions;

  constructor(options: KitWatchOptions) {
    this.#options = options;
  }

  /** For the status. */
  note({ activeKeyId }: { readonly activeKeyId: KeyId | null }): Promise<KitNote> {
    const { dataDir } = this.#options;
    return this.#withKeys(activeKeyId, (ring) => kitNote(dataDir, activeKeyId, ring));
  }

  /** Once a server serves: a kit of a former key opens nothing any more. Never rejects. */
  async sayIfOutdated(database: Pick<CredentialDatabase, 'keyUse'>): Promise<void> {
    const { dataDir, logger } = this.#options;
    try {
      const use = await database.keyUse();
      const activeKeyId = use?.keyId ?? null;
      const state = await this.#withKeys(activeKeyId, (ring) => readKitState(dataDir, ring));
      if (state === undefined) return;
      if (use !== undefined && use.keyId !== state.keyId) this.sayDue(use.keyId);
    } catch (error) {
      logger.warn('The recovery kit could not be looked at', { cause: error });
    }
  }

  /** After a rotation: no kit can be of the new key. */
  sayDue(activeKeyId: string): void {
    this.#options.logger.warn('A new recovery kit is due: there is none of the active key', {
      keyId: activeKeyId,
      advice: ADVICE,
    });
  }

  async #withKeys<T>(
    activeKeyId: KeyId | null,
    use: (ring: CustodyReport['ring']) => Promise<T>,
  ): Promise<T> {
    const { ring } = await this.#options.loadKeys(activeKeyId);
    try {
      return await use(ring);
    } finally {
      for (const id of ring.ids) ring.byId(id)?.destroy();
    }
  }
}
