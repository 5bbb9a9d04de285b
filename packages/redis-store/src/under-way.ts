/** What the status says of an operation on the whole database that is not at its end: it may run, or wait for a server. */
import { join } from 'node:path';
import type { DatabaseState } from './state/database-state.js';
import type { SealContent } from './state/seal.js';

/** One sentence each, for an operator. */
export interface UnderWay {
  readonly what: string;
  readonly toDo: string;
  readonly notToDo: string;
}

export interface UnderWayOptions {
  readonly dataDir: string;
  /** This machine. */
  readonly host: string;
  /** Whether a server process lives that may be at it. */
  readonly isServed: boolean;
}

const WHAT: Partial<Record<DatabaseState, string>> = {
  encrypting:
    'the records are being encrypted: each is an envelope already, or plaintext still; writes are refused until the end',
  decrypting:
    'the records are being decrypted: each is plaintext already, or an envelope still; writes are refused until the end',
  scrubbing:
    'all records are encrypted; what is left of their plaintext in the files of Redis and the data folder is being deleted',
  rekeying:
    'the key is being replaced, while the database is served: each record is under the new key already, or under the old one still',
};

const REINDEXING =
  'the indexes are being made anew, while the database is served: a search by one that changed reads the collection until then';

/** @returns `null` when nothing is under way */
export function underWayOf(content: SealContent, options: UnderWayOptions): UnderWay | null {
  const { state, previousDefinitions, migration, importing } = content;
  const what =
    (previousDefinitions === null ? WHAT[state] : REINDEXING) ??
    (importing === null ? undefined : 'an import is being written, record after record');
  if (what === undefined) return null;
  const host = migration?.host ?? importing?.host ?? options.host;
  return { what, toDo: toDo(host, options), notToDo: notToDo(content, options.dataDir) };
}

function toDo(host: string, options: UnderWayOptions): string {
  if (options.isServed) {
    return 'wait: the log of the server tells how far it is, or why it waits; a stop or a crash loses nothing, the next start goes on where it was';
  }
  // Only its data folder has the files that the rest needs.
  const where = host === options.host ? '' : ` on ${host}, in whose data folder it began`;
  return `no server is at it: start the server${where}, with the settings of before; it goes on where it was`;
}

function notToDo({ migration, importing }: SealContent, dataDir: string): string {
  const files = [
    ...(migration === null ? [] : [migration.backup, `${migration.backup}.manifest`]),
    ...(importing === null ? [] : [importing.spool]),
  ].map((name) => join(dataDir, name));
  const kept = files.length === 0 ? 'no half' : `neither ${files.join(' nor ')}, nor a half`;
  return `delete ${kept}; do not put an older copy of Redis in the place of this one; do not change encryptCredentialDatabase, unless you want it turned back`;
}
