import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  blindIndexToken,
  isKeyId,
  isName,
  KeyDestroyedError,
  KeyHalf,
  MAC_BYTES,
  openEnvelope,
  sealEnvelope,
  VaultKey,
} from '../src/index.js';
import type { MacPurpose } from '../src/index.js';

const halfA = KeyHalf.generate();
const halfB = KeyHalf.generate();
const key = VaultKey.derive(halfA, halfB);

describe('a pair of halves', () => {
  test('gives the same key every time', () => {
    const again = VaultKey.derive(halfA, halfB);
    const stored = sealEnvelope(key.recordKey('server'), 'id', Buffer.from('{}'));
    expect(again.id).toBe(key.id);
    expect(isKeyId(again.id)).toBe(true);
    expect(openEnvelope(again.recordKey('server'), 'id', stored).toString()).toBe('{}');
  });

  test('gives another key in the other order, and with another half', () => {
    const ids = [
      key.id,
      VaultKey.derive(halfB, halfA).id,
      VaultKey.derive(halfA, KeyHalf.generate()).id,
      VaultKey.derive(KeyHalf.generate(), halfB).id,
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('may be destroyed once the key is derived, but not before', () => {
    const [a, b] = [KeyHalf.generate(), KeyHalf.generate()];
    const derived = VaultKey.derive(a, b);
    a.destroy();
    b.destroy();
    expect(derived.mac('seal', 'text')).toHaveLength(MAC_BYTES);
    expect(() => VaultKey.derive(a, b)).toThrow(KeyDestroyedError);
  });
});

describe('derived keys', () => {
  test('are derived once', () => {
    expect(key.recordKey('server')).toBe(key.recordKey('server'));
    expect(key.indexKey('server', 'host')).toBe(key.indexKey('server', 'host'));
  });

  test.each(['', 'Server', '9lives', 'a/b', 'a b', 'café', '__proto__', 'x'.repeat(65)])(
    'are refused for the name "%s"',
    (name) => {
      expect(isName(name)).toBe(false);
      expect(() => key.recordKey(name)).toThrow(RangeError);
      expect(() => key.indexKey(name, 'host')).toThrow(RangeError);
      expect(() => key.indexKey('server', name)).toThrow(RangeError);
    },
  );

  test('count encryptions of all collections together', () => {
    const counted = VaultKey.derive(halfA, halfB);
    expect(counted.encryptions).toBe(0);
    for (let i = 0; i < 3; i++) sealEnvelope(counted.recordKey('server'), 'id', Buffer.from('{}'));
    sealEnvelope(counted.recordKey('remote'), 'id', Buffer.from('{}'));
    expect(counted.encryptions).toBe(4);
    expect(counted.recordKey('server').encryptions).toBe(3);
  });
});

describe('a MAC', () => {
  const purposes: readonly MacPurpose[] = ['seal', 'audit', 'process', 'fence'];

  test('differs by purpose and by key', () => {
    const other = VaultKey.derive(halfB, halfA);
    const macs = [
      ...purposes.map((purpose) => key.mac(purpose, 'text')),
      other.mac('seal', 'text'),
    ];
    expect(new Set(macs.map((mac) => mac.toString('hex'))).size).toBe(macs.length);
  });

  test('belongs to one list of parts, whatever their number', () => {
    const parts = fc.array(fc.constantFrom('', 'a', 'b', 'ab', '\u0000\u0001a'), { maxLength: 4 });
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const isSame = JSON.stringify(a) === JSON.stringify(b);
        expect(key.isMac('seal', key.mac('seal', ...a), ...b)).toBe(isSame);
      }),
    );
  });

  test('is not the MAC of a single part that spells out several', () => {
    expect(key.isMac('seal', key.mac('seal', 'a', 'b'), '\u0000\u0001ab')).toBe(false);
  });

  test('is refused when a bit differs or a byte is missing', () => {
    const mac = key.mac('seal', 'text');
    expect(key.isMac('seal', mac, 'text')).toBe(true);
    for (let bit = 0; bit < MAC_BYTES * 8; bit++) {
      const altered = Buffer.from(mac);
      altered[bit >> 3] = (mac[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(key.isMac('seal', altered, 'text')).toBe(false);
    }
    expect(key.isMac('seal', mac.subarray(1), 'text')).toBe(false);
    expect(key.isMac('seal', Buffer.alloc(0), 'text')).toBe(false);
  });

  test('is not made for a purpose that is not in the table', () => {
    for (const purpose of ['key-id', 'record', '', 'Seal']) {
      expect(() => key.mac(purpose as MacPurpose, 'text')).toThrow(
        /^the purpose of a MAC is one of seal, /,
      );
    }
  });

  test('takes 255 parts, all but the last at most 65 535 bytes', () => {
    const many = Array.from({ length: 255 }, () => 'x');
    expect(key.mac('seal', ...many)).toHaveLength(MAC_BYTES);
    expect(() => key.mac('seal', ...many, 'x')).toThrow(RangeError);
    expect(key.mac('seal', 'x', Buffer.alloc(100_000))).toHaveLength(MAC_BYTES);
    expect(() => key.mac('seal', Buffer.alloc(65_536), 'x')).toThrow(RangeError);
  });
});

test('destroy() ends the key and all keys made by it, also those that others hold', () => {
  const doomed = VaultKey.derive(halfA, halfB);
  const recordKey = doomed.recordKey('server');
  const indexKey = doomed.indexKey('server', 'host');
  const stored = sealEnvelope(recordKey, 'id', Buffer.from('{}'));
  doomed.mac('seal', 'text');
  doomed.destroy();
  doomed.destroy();
  for (const use of [
    () => doomed.recordKey('server'),
    () => doomed.recordKey('remote'),
    () => doomed.indexKey('server', 'host'),
    () => doomed.mac('seal', 'text'),
    () => doomed.isMac('seal', Buffer.alloc(32), 'text'),
    () => sealEnvelope(recordKey, 'id', Buffer.from('{}')),
    () => openEnvelope(recordKey, 'id', stored),
    () => blindIndexToken(indexKey, 'xen01'),
  ]) {
    expect(use).toThrow(KeyDestroyedError);
  }
  expect(doomed.id).toBe(key.id);
  expect(openEnvelope(key.recordKey('server'), 'id', stored).toString()).toBe('{}');
});

test('gives its halves back, to be put where they were lost', () => {
  const [oneHalf, otherHalf] = [KeyHalf.generate(), KeyHalf.generate()];
  const own = VaultKey.derive(oneHalf, otherHalf);
  const [a, b] = own.halves();
  expect(a.equals(oneHalf) && b.equals(otherHalf)).toBe(true);
  // Copies: destroying them leaves the key as it is.
  a.destroy();
  b.destroy();
  expect(own.halves()[0].equals(oneHalf)).toBe(true);
  own.destroy();
  expect(() => own.halves()).toThrow(KeyDestroyedError);
});
