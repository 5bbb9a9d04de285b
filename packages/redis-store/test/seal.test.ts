/** The seal: read strictly, believed only with its MAC; and the witness that is the floor under it. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KeyRing, VaultKey } from '@vault/crypto';
import {
  isAuthenticSeal,
  isTombstone,
  makeTombstone,
  parseSeal,
  sealBytes,
} from '../src/state/seal.js';
import type { ReadSeal, SealContent } from '../src/state/seal.js';
import { Witness, witnessObjection } from '../src/state/witness.js';
import type { WitnessContent } from '../src/state/witness.js';
import { newKey } from './store-fixture.js';

const ID = '00000000-0000-4000-8000-000000000000';
const OTHER_ID = '11111111-0000-4000-8000-000000000000';
const key = newKey();
const ring = ringOf(key);

function ringOf(...keys: readonly VaultKey[]): KeyRing {
  return { ids: keys.map(({ id }) => id), byId: (id) => keys.find((one) => one.id === id) };
}

function content(changes: Partial<SealContent> = {}): SealContent {
  return {
    v: 1,
    databaseId: ID,
    epoch: 5,
    state: 'encrypted',
    keyId: key.id,
    previousKeyId: null,
    pendingKeyId: null,
    inactiveKeyIds: [],
    activeSinceMs: 1,
    definitions: '[]',
    previousDefinitions: null,
    fields: null,
    migration: null,
    importing: null,
    files: [],
    retired: null,
    bootstrapped: false,
    origin: 'made-encrypted',
    pinned: false,
    ...changes,
  };
}

const PLAIN: Partial<SealContent> = { state: 'plaintext', keyId: null, activeSinceMs: null };

function read(bytes: string): ReadSeal {
  const parsed = parseSeal(bytes);
  if (typeof parsed !== 'object') throw new Error(`expected a seal, it is ${parsed}`);
  return parsed;
}

describe('a seal', () => {
  it('is authentic under its key, prefix and database only', () => {
    const seal = read(sealBytes(content(), 'vault', key));
    expect(seal.content).toEqual(content());
    expect(isAuthenticSeal(seal, 'vault', ring)).toBe(true);
    expect(isAuthenticSeal(seal, 'other', ring)).toBe(false);
    expect(isAuthenticSeal(seal, 'vault', ringOf(newKey()))).toBe(false);
  });

  it('is not authentic with any byte changed', () => {
    const bytes = sealBytes(content(), 'vault', key);
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.slice(0, i) + (bytes[i] === 'a' ? 'b' : 'a') + bytes.slice(i + 1);
      const parsed = parseSeal(changed);
      const isBelieved = typeof parsed === 'object' && isAuthenticSeal(parsed, 'vault', ring);
      // The last character of 32 bytes in base64url has two bits that mean nothing.
      expect({ i, isBelieved }).toEqual({ i, isBelieved: i === bytes.length - 1 && isBelieved });
    }
  });

  it('is never authentic in state plaintext', () => {
    const seal = read(sealBytes(content(PLAIN), 'vault', undefined));
    expect(seal.mac).toBe('-');
    expect(isAuthenticSeal(seal, 'vault', ring)).toBe(false);
  });

  it('is not made with a key that it does not name', () => {
    expect(() => sealBytes(content(), 'vault', newKey())).toThrow('the key that the seal names');
    expect(() => sealBytes(content(PLAIN), 'vault', key)).toThrow('the key that the seal names');
  });

  it.each<[string, unknown]>([
    ['a database id that is none', { databaseId: 'x' }],
    ['epoch 0', { epoch: 0 }],
    ['an unknown state', { state: 'open' }],
    ['a key id that is none', { keyId: 'zz' }],
    ['a key in plaintext', { state: 'plaintext' }],
    ['no key while encrypted', { keyId: null }],
    ['a backup outside the data folder', { files: ['../etc/passwd'] }],
    ['half B among the files to delete', { files: ['vault-encryption-key'] }],
    ['the witness as a backup', { files: ['vault-state'] }],
    ['half B as a spool', { importing: { spool: 'vault-encryption-key', host: 'h' } }],
    ['a spool that is a folder', { importing: { spool: '..', host: 'h' } }],
    ['a missing field', { bootstrapped: undefined }],
    ['an unknown origin', { origin: 'found' as 'switched-on' }],
    ['a time beyond the calendar', { activeSinceMs: 9e15 }],
    ['definitions that are no JSON', { definitions: 'x' }],
    ['definitions of another form', { definitions: '[["server",1,5]]' }],
    ['a field that is no name', { definitions: '[["s",1,[["i","exact",[["f"]],"text",null]]]]' }],
    [
      'a normalisation that there is not',
      { definitions: '[["s",1,[["i","exact",["f"],"x",null]]]]' },
    ],
    ['more partitions than there may be', { previousDefinitions: '[["server",99999,[]]]' }],
    ['a pin in plaintext', { ...PLAIN, pinned: true }],
  ])('is malformed with %s', (_, changes) => {
    const json = JSON.stringify({ ...content(), ...(changes as object) });
    expect(parseSeal(`${json}\n-`)).toBe('malformed');
  });

  it('says nothing but what is known, at any depth', () => {
    const all = content({
      migration: {
        from: 'plaintext',
        backup: 'encryption-backup.json',
        host: 'h',
        isBackedUp: true,
      },
      importing: { spool: 'import-1.spool', host: 'h' },
      retired: { keyIds: [key.id], files: [], epoch: 4, mac: 'mac' },
    });
    const more = {
      ...all,
      junk: 1,
      migration: { ...all.migration, junk: 1 },
      importing: { ...all.importing, junk: 1 },
      retired: { ...all.retired, junk: 1 },
    };
    const seal = read(sealBytes(more as SealContent, 'vault', key));
    expect(seal.content).toEqual(all);
    expect(isAuthenticSeal(seal, 'vault', ring)).toBe(true);
  });

  it('of more than 1 MiB is malformed', () => {
    const ofLength = (bytes: number) =>
      `${JSON.stringify(content({ fields: 'x' }))}${' '.repeat(bytes)}`;
    const room = 2 ** 20 - ofLength(0).length - '\n-'.length;
    expect(typeof parseSeal(`${ofLength(room)}\n-`)).toBe('object');
    // Not compared as a whole: a failure would print it.
    expect(parseSeal(`${ofLength(room + 1)}\n-`) === 'malformed').toBe(true);
  });

  it.each(['', '\n', 'null\n-', '[]\n-', '{}\n-', '{"v":1}\n-', 'text'])(
    'is malformed: %j',
    (bytes) => {
      expect(parseSeal(bytes)).toBe('malformed');
    },
  );

  it('of a newer layout is told apart', () => {
    expect(parseSeal('{"v":2,"anything":true}\n-')).toBe('newer-layout');
  });
});

describe('a tombstone', () => {
  const files = ['encryption-backup.json', 'encryption-backup.json.manifest'];
  const retirement = { databaseId: ID, keyIds: [key.id], files, epoch: 6 };
  const tombstone = makeTombstone(key, 'vault', retirement);

  it('is believed as it was signed', () => {
    expect(isTombstone(tombstone, 'vault', ID, ring)).toBe(true);
  });
  it('is not believed for another database, prefix, epoch, other keys or files', () => {
    const other = newKey();
    expect(isTombstone(tombstone, 'vault', OTHER_ID, ring)).toBe(false);
    expect(isTombstone(tombstone, 'other', ID, ring)).toBe(false);
    expect(isTombstone({ ...tombstone, epoch: 7 }, 'vault', ID, ring)).toBe(false);
    expect(isTombstone({ ...tombstone, files: [] }, 'vault', ID, ring)).toBe(false);
    const more = { ...tombstone, keyIds: [other.id, key.id] };
    expect(isTombstone(more, 'vault', ID, ringOf(key, other))).toBe(false);
    expect(isTombstone(tombstone, 'vault', ID, ringOf(other))).toBe(false);
  });
});

describe('what the witness says to a seal', () => {
  const witness: WitnessContent = {
    v: 1,
    databaseId: ID,
    epoch: 5,
    state: 'encrypted',
    keyId: key.id,
    origin: 'made-encrypted',
    pinned: false,
    next: null,
  };
  const objection = (
    changes: Partial<SealContent> | undefined,
    seen = witness,
  ): string | undefined =>
    witnessObjection(seen, changes === undefined ? undefined : content(changes), 'vault', ring);
  const retired = makeTombstone(key, 'vault', {
    databaseId: ID,
    keyIds: [key.id],
    files: [],
    epoch: 6,
  });

  it.each<[string, Partial<SealContent>]>([
    ['the same', {}],
    ['a newer one under a key', { epoch: 9 }],
    ['a newer plaintext one with a tombstone', { ...PLAIN, epoch: 6, retired }],
    ['one under a key that is far ahead', { epoch: 2 ** 52 }],
    ['one that carries on an accepted tombstone', { ...PLAIN, epoch: 8, retired }],
  ])('is nothing to %s', (_, changes) => {
    expect(objection(changes)).toBeUndefined();
  });

  it.each<[string, Partial<SealContent> | undefined, string]>([
    ['a missing one', undefined, 'missing'],
    ['an older one', { epoch: 4 }, 'rolled back'],
    ['one of another database', { databaseId: OTHER_ID, epoch: 9 }, 'this server knows database'],
    ['another state at the same epoch', { state: 'scrubbing' }, 'the seal says scrubbing'],
    [
      'a plaintext one that is far ahead, with a tombstone',
      {
        ...PLAIN,
        epoch: 2 ** 20 + 6,
        retired: makeTombstone(key, 'vault', {
          databaseId: ID,
          keyIds: [key.id],
          files: [],
          epoch: 6,
        }),
      },
      'no database reaches by itself',
    ],
    ['plaintext without a tombstone', { ...PLAIN, epoch: 6 }, 'no such key signed'],
    [
      'plaintext with a tombstone of an earlier time',
      {
        ...PLAIN,
        epoch: 6,
        retired: makeTombstone(key, 'vault', {
          databaseId: ID,
          keyIds: [key.id],
          files: [],
          epoch: 5,
        }),
      },
      'no such key signed',
    ],
  ])('is an objection to %s', (_, changes, expected) => {
    expect(objection(changes)).toContain(expected);
  });

  it('is nothing to the very change that was under way', () => {
    const next = { ...witness, epoch: 6, state: 'plaintext', keyId: null } as const;
    expect(objection({ ...PLAIN, epoch: 6 }, { ...witness, next })).toBeUndefined();
    expect(objection({ ...PLAIN, epoch: 7 }, { ...witness, next })).toContain('no such key signed');
  });

  it('is an objection to an epoch that leaves no room, where nothing is known', () => {
    const far = read(sealBytes(content({ ...PLAIN, epoch: 2 ** 40 + 1 }), 'vault', undefined));
    expect(witnessObjection(undefined, far.content, 'vault', ring)).toContain('reaches by itself');
    const near = { ...far.content, epoch: 2 ** 40 };
    expect(witnessObjection(undefined, near, 'vault', ring)).toBeUndefined();
  });

  it('is nothing where no seal was ever written for certain', () => {
    const fresh: WitnessContent = { ...witness, epoch: 0, state: 'plaintext', keyId: null };
    expect(objection(undefined, fresh)).toBeUndefined();
    expect(objection({ databaseId: OTHER_ID }, fresh)).toBeUndefined();
  });
});

describe('the witness file', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vault-witness-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('holds both states of a change under way, and is private', async () => {
    const witness = new Witness(folder);
    expect(await witness.read()).toBeUndefined();
    await witness.prepare(undefined, content());
    expect(await witness.read()).toMatchObject({ epoch: 0, next: { epoch: 5, keyId: key.id } });
    await witness.commit(content());
    expect(await witness.read()).toMatchObject({ epoch: 5, state: 'encrypted', next: null });
    expect(statSync(witness.path).mode & 0o777).toBe(0o600);
    expect(readFileSync(witness.path, 'utf8')).not.toContain('definitions');
  });

  it.each([
    '',
    '{',
    'null',
    '{"v":1}',
    '{"v":2,"databaseId":"x","epoch":1,"state":"encrypted","keyId":null,"next":null}',
  ])('is malformed: %j', async (text) => {
    const witness = new Witness(folder);
    writeFileSync(witness.path, text);
    expect(await witness.read()).toBe('malformed');
  });
});
