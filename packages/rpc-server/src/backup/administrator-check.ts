/**
 * Whether somebody could still administer the server after an import: each user record of the file may
 * replace an administrator (same id) or push one out (same name under another id).
 */
import { normaliseValue } from '@vault/crypto';
import type { BackupRecord } from './port.js';

type UserRecord = Omit<BackupRecord, 'collection'>;

interface Administrator {
  readonly name: string;
  readonly isAble: boolean;
  readonly isOfFile: boolean;
}

export class AdministratorCheck {
  readonly #left = new Map<string, Administrator>();
  readonly #before: readonly Administrator[];

  /** @param current the users that are administrators before the import */
  constructor(current: readonly UserRecord[]) {
    for (const user of current) this.#left.set(user.id, administratorOf(user, false));
    this.#before = [...this.#left.values()];
  }

  /** A user of the file, in its order: the last one counts. */
  take(user: UserRecord): void {
    const administrator = administratorOf(user, true);
    for (const [id, { name }] of this.#left) {
      if (name === administrator.name) this.#left.delete(id);
    }
    this.#left.delete(user.id);
    if (user.record['permission'] === 'admin') this.#left.set(user.id, administrator);
  }

  /**
   * Counts on nobody who lost the right, or the password, while the file was read. Who got it meanwhile is
   * not counted either: the file may push them out.
   * @param current the users that are administrators now
   */
  recheck(current: readonly UserRecord[]): void {
    const now = new Map(current.map((user) => [user.id, administratorOf(user, false)]));
    for (const [id, { isOfFile }] of this.#left) {
      if (isOfFile) continue;
      const administrator = now.get(id);
      if (administrator === undefined) this.#left.delete(id);
      else this.#left.set(id, administrator);
    }
  }

  /** Whether there was an administrator who can sign in, and there would be none. Where there was none, it takes no other one away. */
  get isLost(): boolean {
    const left = [...this.#left.values()];
    const isSigningInLost = this.#before.some(can) && !left.some(can);
    return isSigningInLost || (this.#before.length > 0 && left.length === 0);
  }
}

const can = ({ isAble }: Administrator): boolean => isAble;

function administratorOf({ record }: UserRecord, isOfFile: boolean): Administrator {
  const { email } = record;
  const name = typeof email === 'string' ? email : '';
  return { name: normaliseValue(name), isAble: canSignIn(record), isOfFile };
}

/** Whether a user record has a name that is found and a password that can be right. */
export function canSignIn({ email, pwHash }: UserRecord['record']): boolean {
  const isName = typeof email === 'string' && email !== '' && email.trim() === email;
  return isName && typeof pwHash === 'string' && pwHash.startsWith('$argon2id$');
}
