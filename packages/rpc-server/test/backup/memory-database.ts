/** The database port of the config backup over plain objects: what is tested is the backup, not the store. */
import { checkRecord } from '@vault/redis-store';
import type {
  CollectionDefinitions,
  CredentialRecord,
  ImportPreviewReport,
  ImportReport,
} from '@vault/redis-store';
import type { BackupDatabase, BackupRecord, BegunImport } from '../../src/backup/port.js';

type Fields = Readonly<Record<string, unknown>>;
type Content = Readonly<Record<string, Readonly<Record<string, Fields>>>>;

export const SAMPLE: Content = {
  server: {
    s1: { host: 'h1', password: 'hunter2secret' },
    s2: { host: 'h2', password: '{"}]' },
  },
  user: { u1: { email: 'a@b', pwHash: '$argon2id$…' } },
  token: { t1: { hash: 'x' } },
};

/** Fields of any kind: what may be in them is the store's own check. */
const ANY: CollectionDefinitions[string] = {
  fields: {
    host: { type: 'string' },
    password: { type: 'secret' },
    email: { type: 'string' },
    permission: { type: 'string' },
    pwHash: { type: 'secret' },
    x: { type: 'json' },
  },
  indexes: {},
};
const DEFINITIONS: CollectionDefinitions = { server: ANY, user: ANY, remote: ANY };

export class MemoryDatabase implements BackupDatabase {
  readonly collections = ['server', 'user', 'remote', 'token'];
  content: Record<string, Record<string, Fields>>;
  isNowEncrypted: boolean;
  /** Thrown by the next list. */
  failure: Error | undefined;
  /** Ids of records that cannot be read. */
  readonly damaged = new Set<string>();

  constructor(content: Content, isNowEncrypted = false) {
    this.content = structuredClone(content);
    this.isNowEncrypted = isNowEncrypted;
  }

  isEncrypted(): boolean {
    return this.isNowEncrypted;
  }

  /** Pages of one record, so that paging is always met. */
  collection(name: string): ReturnType<BackupDatabase['collection']> {
    return {
      list: ({ after = '' }) => {
        if (this.failure !== undefined) return Promise.reject(this.failure);
        const ids = Object.keys(this.content[name] ?? {})
          .toSorted()
          .filter((id) => id > after);
        const unreadable = ids
          .slice(0, 1)
          .filter((id) => this.damaged.has(id))
          .map((id) => Object.assign(new Error(`${name} ${id} cannot be read`), { id }));
        const records = ids
          .slice(0, 1)
          .filter((id) => !this.damaged.has(id))
          .map((id) => ({ id, record: this.content[name]?.[id] ?? {} }));
        const next = ids.length > 1 ? ids[0] : undefined;
        return Promise.resolve({ records, unreadable, next });
      },
    };
  }

  check({ collection, id, record }: BackupRecord): void {
    checkRecord(DEFINITIONS, collection, id, record as CredentialRecord);
  }

  administrators(): Promise<{ readonly id: string; readonly record: Fields }[]> {
    const users = Object.entries(this.content['user'] ?? {}).map(([id, record]) => ({
      id,
      record,
    }));
    return Promise.resolve(users.filter(({ record }) => record['permission'] === 'admin'));
  }

  openImport(): Promise<BegunImport<ImportReport>> {
    return Promise.resolve(this.#begin(true));
  }

  previewImport(): BegunImport<ImportPreviewReport> {
    return this.#begin(false);
  }

  #begin(isWritten: boolean): BegunImport<ImportPreviewReport> {
    const spool: BackupRecord[] = [];
    return {
      add: async (record) => {
        this.check(record);
        spool.push(record);
      },
      finish: async () => {
        const next = structuredClone(this.content);
        for (const { collection, id, record } of spool) {
          next[collection] = { ...next[collection], [id]: record };
        }
        if (isWritten) this.content = next;
        const counts = { added: spool.length, changed: 0, unchanged: 0 };
        return { records: spool.length, collections: {}, ...counts, replaced: [], changes: [] };
      },
      abort: () => Promise.resolve(),
    };
  }
}
