import { describe, expect, test } from '@jest/globals';
import { newSeal } from '../src/state/seal.js';
import type { SealContent } from '../src/state/seal.js';
import { underWayOf } from '../src/under-way.js';

const MIGRATION = {
  from: 'plaintext',
  backup: 'encryption-backup.json',
  host: 'one',
  isBackedUp: true,
} as const;
const SEAL = newSeal('ade81923-6bf2-4ed2-8a8a-c2e6e54b5ede', 'definitions', false);
const AT = { dataDir: '/data', host: 'one', isServed: false };
const seal = (over: Partial<SealContent>): SealContent => ({ ...SEAL, ...over });

describe('what is under way', () => {
  test.each(['plaintext', 'encrypted'] as const)('is nothing in a database that is %s', (state) => {
    expect(underWayOf(seal({ state }), AT)).toBeNull();
  });

  test.each(['encrypting', 'decrypting', 'scrubbing', 'rekeying'] as const)(
    'is said of a database that is %s, with what to do and what not',
    (state) => {
      const { what, toDo, notToDo } = underWayOf(seal({ state }), AT) ?? {};
      expect(what).toMatch(/record/);
      expect(toDo).toMatch(/start the server/);
      expect(notToDo).toMatch(/^delete no half; do not put an older copy of Redis/);
    },
  );

  test('names the files that must stay, and the machine that has them', () => {
    const content = seal({ state: 'encrypting', migration: MIGRATION });
    const elsewhere = underWayOf(content, { ...AT, host: 'two' });
    expect(elsewhere?.toDo).toContain('start the server on one, in whose data folder it began');
    expect(elsewhere?.notToDo).toContain(
      'delete neither /data/encryption-backup.json nor /data/encryption-backup.json.manifest, nor a half',
    );
    expect(underWayOf(content, AT)?.toDo).not.toContain(' on one');
  });

  test('is waited for while a server is at it', () => {
    const content = seal({ state: 'encrypting', migration: MIGRATION });
    expect(underWayOf(content, { ...AT, isServed: true })?.toDo).toMatch(/^wait: /);
  });

  test('is an import, too', () => {
    const importing = { spool: 'import-1.spool', host: 'one' };
    expect(underWayOf(seal({ state: 'encrypted', importing }), AT)).toMatchObject({
      what: expect.stringContaining('an import'),
      notToDo: expect.stringContaining('/data/import-1.spool'),
    });
  });
});
