/** `xenstore`: one value in one node, read and written through the wire protocol. */
// oxlint-disable no-await-in-loop -- each attempt follows the failure of the one before
import debug from 'debug';
import { VIRTUAL_MACHINE } from '../custody-check.js';
import { KeystoreError } from '../errors.js';
import type { KeystoreErrorCode } from '../errors.js';
import type { Artefact } from '../half-source.js';
import { LABELLED_LINE_BYTES } from '../half-value.js';
import type { ValueEdit } from '../half-value.js';
import type { RawReading, ValueCopy, ValuePlace } from '../value-place.js';
import { readByCommand } from '../xenstore/read-command.js';
import { XenstoreConnection } from '../xenstore/xenstore-connection.js';
import { XenstoreError } from '../xenstore/xenstore-error.js';

export interface XenstoreSourceOptions {
  /** Relative to the domain's own folder, or absolute: `[A-Za-z0-9/_@-]`, at most 256 characters. */
  readonly path: string;
  /** Sockets or devices, in the order to try. */
  readonly transportPaths: readonly string[];
  /** For opening, for each request, and for each run of a fallback command. Default: 5 000. */
  readonly timeLimitMs?: number;
  /** The whole environment of the fallback commands. */
  readonly commandEnvironment: Readonly<Record<string, string>>;
}

/**
 * A guest's whole node (header, permissions, names of children, value) must stay under 2 048 bytes,
 * and oxenstored refuses values over 2 048 even from dom0. 1 900 leaves 148 for what is not value,
 * and holds 23 lines.
 */
export const XENSTORE_VALUE_MAX_BYTES = 1_900;

const DEFAULT_TIME_LIMIT_MS = 5_000;
/** A conflict needs another writer of the same node within a millisecond; eight in a row are somebody in a loop. */
const TRANSACTION_ATTEMPTS = 8;
const COPIES_MAX = 100;
const COPY_INFIX = '-corrupt-';
/** A removal of one node is one step by itself. */
const NO_TRANSACTION = 0;

const log = debug('vault:keystore');

export class XenstorePlace implements ValuePlace {
  readonly source = 'xenstore';
  readonly isWritable = true;
  readonly isShared = false;
  readonly comparesAndSwaps = true;
  readonly canCopyAside = true;
  readonly place: string;
  readonly parseOptions = {} as const;
  readonly #options: XenstoreSourceOptions;
  readonly #timeLimitMs: number;

  constructor(options: XenstoreSourceOptions) {
    this.place = options.path;
    this.#options = options;
    this.#timeLimitMs = options.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS;
  }

  artefacts(): Promise<readonly Artefact[]> {
    return Promise.resolve([VIRTUAL_MACHINE]);
  }

  async read(): Promise<RawReading> {
    try {
      return await this.#connected(async (connection) => {
        const value = await connection.read(this.place);
        return value === undefined ? { status: 'missing' } : { status: 'value', value };
      });
    } catch (error) {
      if (!(error instanceof XenstoreError)) throw error;
      if (!isNotOpened(error)) return { status: 'unreadable', reason: describe(error) };
      log('%s; falling back to xenstore-read', error.message);
      return this.#readByCommand(error);
    }
  }

  async writeRefusal(): Promise<string | undefined> {
    try {
      return await this.#connected(async (connection) => {
        const value = await connection.read(this.place);
        const length = value?.length ?? 0;
        value?.fill(0);
        return fullRefusal(length + 1 + LABELLED_LINE_BYTES);
      });
    } catch (error) {
      if (error instanceof XenstoreError) return describe(error);
      throw error;
    }
  }

  async change(edit: (current: Buffer | undefined) => ValueEdit): Promise<void> {
    await this.#asked(async (connection) => {
      for (let attempt = 1; attempt <= TRANSACTION_ATTEMPTS; attempt++) {
        if (await this.#changeOnce(connection, edit)) return;
      }
      throw new KeystoreError(
        'HALF_CONFLICT',
        `xenstore ${this.place} was changed by somebody else ${TRANSACTION_ATTEMPTS} times in a row`,
      );
    });
  }

  async copies(): Promise<readonly ValueCopy[]> {
    return this.#asked(async (connection) => {
      const copies: ValueCopy[] = [];
      for (const place of await this.#copyPaths(connection)) {
        copies.push({ place, value: await connection.read(place) });
      }
      return copies;
    });
  }

  async deleteCopy(place: string): Promise<void> {
    await this.#asked((connection) => connection.remove(place, NO_TRANSACTION));
  }

  async #copyPaths(connection: XenstoreConnection): Promise<readonly string[]> {
    const cut = this.place.lastIndexOf('/');
    const folder = cut < 0 ? '' : this.place.slice(0, cut);
    const prefix = `${this.place.slice(cut + 1)}${COPY_INFIX}`;
    // The domain's own folder has no name of its own; a copy there is found by its number.
    if (cut <= 0) return this.#numberedCopies(connection);
    try {
      const names = await connection.directory(folder);
      return names.filter((name) => name.startsWith(prefix)).map((name) => `${folder}/${name}`);
    } catch (error) {
      if (error instanceof XenstoreError && error.errno === 'ENOENT') return [];
      throw error;
    }
  }

  async #numberedCopies(connection: XenstoreConnection): Promise<readonly string[]> {
    const there: string[] = [];
    for (let n = 1; n <= COPIES_MAX; n++) {
      const value = await connection.read(`${this.place}${COPY_INFIX}${n}`);
      if (value !== undefined) there.push(`${this.place}${COPY_INFIX}${n}`);
      value?.fill(0);
    }
    return there;
  }

  async #asked<T>(ask: (connection: XenstoreConnection) => Promise<T>): Promise<T> {
    try {
      return await this.#connected(ask);
    } catch (error) {
      if (!(error instanceof XenstoreError)) throw error;
      throw new KeystoreError(codeOf(error), `xenstore ${this.place}: ${describe(error)}`);
    }
  }

  /** @returns false when somebody else changed the node meanwhile */
  async #changeOnce(
    connection: XenstoreConnection,
    edit: (current: Buffer | undefined) => ValueEdit,
  ): Promise<boolean> {
    const transaction = await connection.startTransaction();
    let isEnded = false;
    try {
      const isToCommit = await this.#applyEdit(connection, transaction, edit);
      isEnded = true;
      await connection.endTransaction(transaction, isToCommit ? 'commit' : 'abort');
      return true;
    } catch (error) {
      if (error instanceof XenstoreError && error.errno === 'EAGAIN') return false;
      // Closing the connection would end it, too; a connection that broke answers no more.
      if (!isEnded) await connection.endTransaction(transaction, 'abort').catch(() => undefined);
      throw error;
    }
  }

  async #applyEdit(
    connection: XenstoreConnection,
    transaction: number,
    edit: (current: Buffer | undefined) => ValueEdit,
  ): Promise<boolean> {
    const current = await connection.read(this.place, transaction);
    let next: ValueEdit | undefined;
    try {
      next = edit(current);
      if (next.action === 'keep') return false;
      if (next.action === 'delete') {
        await connection.remove(this.place, transaction);
        return true;
      }
      const refusal = fullRefusal(next.value.length);
      if (refusal !== undefined) {
        throw new KeystoreError('HALF_FULL', `xenstore ${this.place}: ${refusal}`);
      }
      if (next.isCorrupt && current !== undefined) {
        await connection.write(await this.#freeCopy(connection, transaction), current, transaction);
      }
      await connection.write(this.place, next.value, transaction);
      return true;
    } finally {
      current?.fill(0);
      if (next?.action === 'replace') next.value.fill(0);
    }
  }

  /** `<path>-corrupt-<n>`: a sibling, so that it does not take room in the node itself. */
  async #freeCopy(connection: XenstoreConnection, transaction: number): Promise<string> {
    for (let n = 1; n <= COPIES_MAX; n++) {
      const path = `${this.place}${COPY_INFIX}${n}`;
      const there = await connection.read(path, transaction);
      if (there === undefined) return path;
      there.fill(0);
    }
    throw new KeystoreError(
      'HALF_WRITE_FAILED',
      `xenstore ${this.place} has ${COPIES_MAX} corrupt copies`,
    );
  }

  async #readByCommand(notOpened: XenstoreError): Promise<RawReading> {
    const reading = await readByCommand(this.place, {
      environment: this.#options.commandEnvironment,
      timeLimitMs: this.#timeLimitMs,
    });
    if (reading.status !== 'unreadable') return reading;
    return { status: 'unreadable', reason: `${describe(notOpened)}; ${reading.reason}` };
  }

  async #connected<T>(use: (connection: XenstoreConnection) => Promise<T>): Promise<T> {
    const connection = await XenstoreConnection.open({
      paths: this.#options.transportPaths,
      timeLimitMs: this.#timeLimitMs,
    });
    try {
      return await use(connection);
    } finally {
      await connection.close();
    }
  }
}

function fullRefusal(valueBytes: number): string | undefined {
  if (valueBytes <= XENSTORE_VALUE_MAX_BYTES) return undefined;
  return `the node has no room for one more line: ${valueBytes} bytes, expected at most ${XENSTORE_VALUE_MAX_BYTES}; delete inactive keys first`;
}

/** Neither a socket nor a device could be opened: the commands may still have a way in. */
function isNotOpened(error: XenstoreError): boolean {
  return error.failure === 'absent' || error.failure === 'denied' || error.failure === 'down';
}

const REFUSALS: Readonly<Record<string, string>> = {
  EACCES: 'XenStore denies this domain the node (EACCES)',
  EPERM: 'XenStore denies this domain the node (EPERM)',
  ENOSPC: 'XenStore has no more room for this domain (ENOSPC)',
  EDQUOT: 'XenStore has no more room for this domain (EDQUOT)',
  E2BIG: 'the value is too large for a XenStore node (E2BIG)',
  EROFS: 'XenStore was opened read-only (EROFS)',
};

function describe(error: XenstoreError): string {
  return REFUSALS[error.errno] ?? error.message;
}

const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'E2BIG']);
const DENIED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

function codeOf(error: XenstoreError): KeystoreErrorCode {
  if (FULL.has(error.errno)) return 'HALF_FULL';
  if (DENIED.has(error.errno) || error.failure === 'denied') return 'HALF_NOT_WRITABLE';
  return error.failure === 'refused' ? 'HALF_WRITE_FAILED' : 'HALF_UNREADABLE';
}
