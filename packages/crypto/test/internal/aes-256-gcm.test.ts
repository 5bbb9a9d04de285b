import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { decryptGcm, encryptGcm, TAG_BYTES } from '../../src/internal/aes-256-gcm.js';
import { readCavpCases } from '../vectors/read.js';
import type { CavpCase } from '../vectors/read.js';

const FILES = ['nist-cavp-gcm-encrypt-256.rsp', 'nist-cavp-gcm-decrypt-256.rsp'] as const;
const CASES_PER_FILE = 375;
const FAILING_CASES = { [FILES[0]]: 0, [FILES[1]]: 191 } as const;

function encrypt({ Key, IV, AAD }: CavpCase, plaintext: Buffer): Buffer {
  const out = Buffer.alloc(3 + plaintext.length + TAG_BYTES, 0xee);
  encryptGcm(createSecretKey(Key), IV, AAD, plaintext, out, 3);
  expect(out.subarray(0, 3).toString('hex')).toBe('eeeeee');
  return out.subarray(3);
}

function decrypt({ Key, IV, AAD, CT, Tag }: CavpCase): Buffer {
  return decryptGcm(createSecretKey(Key), IV, AAD, CT, Tag);
}

describe.each(FILES)('%s', (file) => {
  const cases = readCavpCases(file);
  const genuine = cases.filter(({ PT }) => PT !== undefined);

  test('was read whole', () => {
    expect(cases).toHaveLength(CASES_PER_FILE);
    expect(cases.length - genuine.length).toBe(FAILING_CASES[file]);
    for (const { Key, IV, Tag } of cases) {
      expect([Key.length, IV.length, Tag.length]).toEqual([32, 12, 16]);
    }
  });

  test('encrypting gives ciphertext and tag of every genuine case', () => {
    for (const entry of genuine) {
      const expected = Buffer.concat([entry.CT, entry.Tag]).toString('hex');
      const met = encrypt(entry, entry.PT ?? Buffer.alloc(0)).toString('hex');
      expect({ ...where(entry), sealed: met }).toEqual({ ...where(entry), sealed: expected });
    }
  });

  test('decrypting gives the plaintext of every genuine case', () => {
    for (const entry of genuine) {
      const met = decrypt(entry).toString('hex');
      expect({ ...where(entry), met }).toEqual({ ...where(entry), met: entry.PT?.toString('hex') });
    }
  });

  test('decrypting throws on every case marked FAIL', () => {
    for (const entry of cases.filter(({ PT }) => PT === undefined)) {
      expect(() => decrypt(entry)).toThrow(/authenticate/);
    }
  });
});

test('a genuine tag cut short is refused', () => {
  const [entry] = readCavpCases(FILES[0]);
  if (entry === undefined) throw new Error('the file has a case');
  for (const length of [0, 4, 8, 12, 15]) {
    expect(() => decrypt({ ...entry, Tag: entry.Tag.subarray(0, length) })).toThrow(/length/);
  }
});

function where({ section, Count }: CavpCase): { section: string; Count: string } {
  return { section, Count };
}
