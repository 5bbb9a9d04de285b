/** An envelope opens under exactly the key, collection and id it was sealed with, byte for byte; all else is the one error. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  CryptoError,
  ENVELOPE_OVERHEAD_BYTES,
  EnvelopeNotOpenedError,
  KeyHalf,
  openEnvelope,
  parseEnvelope,
  sealEnvelope,
  VaultKey,
} from '../src/index.js';
import type { RecordKey } from '../src/index.js';
import { pattern } from './vectors/read.js';

const halfA = KeyHalf.fromHex('a1'.repeat(32));
const halfB = KeyHalf.fromHex('b2'.repeat(32));
const key = VaultKey.derive(halfA, halfB);
const recordKey = key.recordKey('server');
const ID = '7b5c4f5e-0f0c-4a3d-9b0e-2a4f9f0d8c11';
const PLAINTEXT = Buffer.from('{"host":"xen01","password":"marker-secret"}');
const HEADER = Buffer.from('clear header');

/** The one face of failure: same class, code and message, no cause, nothing of the record in the stack. */
const NOT_OPENED = {
  isExpectedClass: true,
  ownNames: ['code', 'message', 'name', 'stack'],
  code: 'ENVELOPE_NOT_OPENED',
  message: 'the envelope does not open',
  isMarkerInStack: false,
};

function failureOf(attempt: () => unknown): unknown {
  try {
    attempt();
  } catch (error) {
    if (!(error instanceof CryptoError)) return error;
    return {
      isExpectedClass: error instanceof EnvelopeNotOpenedError,
      ownNames: Object.getOwnPropertyNames(error).toSorted(),
      code: error.code,
      message: error.message,
      isMarkerInStack: error.stack?.includes('marker-secret'),
    };
  }
  return 'opened';
}

function openWith(stored: Buffer, opener: RecordKey = recordKey, id = ID): () => Buffer {
  return () => openEnvelope(opener, id, stored);
}

const edgeSize = fc.constantFrom(0, 1, 15, 16, 17, 31, 32, 33, 255, 256, 300, 4096);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  edgeSize.chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
);
const wellFormedId = fc.string({ unit: 'binary', maxLength: 60 });

describe('what was sealed opens', () => {
  test('for any id, plaintext and header, and is longer by a constant', () => {
    fc.assert(
      fc.property(wellFormedId, bytes, bytes, (id, plaintext, header) => {
        const stored = sealEnvelope(recordKey, id, plaintext, header);
        expect(stored).toHaveLength(ENVELOPE_OVERHEAD_BYTES + header.length + plaintext.length);
        expect(openEnvelope(recordKey, id, stored).equals(plaintext)).toBe(true);
        expect(parseEnvelope(stored)?.clearHeader.equals(header)).toBe(true);
      }),
    );
  });

  test.each([
    [0, 0],
    [1, 0],
    [15, 1],
    [16, 65_534],
    [17, 65_535],
    [1 << 20, 0],
    [1 << 20, 65_535],
  ])('with a plaintext of %i bytes and a header of %i bytes', (plaintextBytes, headerBytes) => {
    const plaintext = pattern(plaintextBytes);
    const stored = sealEnvelope(recordKey, ID, plaintext, pattern(headerBytes));
    expect(openEnvelope(recordKey, ID, stored).equals(plaintext)).toBe(true);
  });

  test('as a view into a larger buffer', () => {
    const stored = sealEnvelope(recordKey, ID, PLAINTEXT, HEADER);
    const larger = Buffer.concat([Buffer.from('before'), stored, Buffer.from('after')]);
    const view = larger.subarray(6, 6 + stored.length);
    expect(openEnvelope(recordKey, ID, view).equals(PLAINTEXT)).toBe(true);
  });

  test('and two envelopes of one record share neither nonce nor ciphertext', () => {
    const [first, second] = [0, 1].map(() =>
      parseEnvelope(sealEnvelope(recordKey, ID, PLAINTEXT, HEADER)),
    );
    expect(first?.nonce).not.toEqual(second?.nonce);
    expect(first?.ciphertext).not.toEqual(second?.ciphertext);
  });
});

describe('nothing else opens', () => {
  const stored = sealEnvelope(recordKey, ID, PLAINTEXT, HEADER);

  test('any single bit flipped, every bit of every byte', () => {
    for (let at = 0; at < stored.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const altered = Buffer.from(stored);
        altered[at] = (stored[at] ?? 0) ^ (1 << bit);
        expect(failureOf(openWith(altered))).toEqual(NOT_OPENED);
      }
    }
  });

  test('any byte set to any other value', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: stored.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, change) => {
          const altered = Buffer.from(stored);
          altered[at] = (stored[at] ?? 0) ^ change;
          expect(failureOf(openWith(altered))).toEqual(NOT_OPENED);
        },
      ),
    );
  });

  test('every length it can be cut to, from either end', () => {
    for (let length = 0; length < stored.length; length++) {
      expect(failureOf(openWith(stored.subarray(0, length)))).toEqual(NOT_OPENED);
      expect(failureOf(openWith(stored.subarray(stored.length - length)))).toEqual(NOT_OPENED);
    }
  });

  test('bytes appended, or taken out of the middle', () => {
    expect(failureOf(openWith(Buffer.concat([stored, Buffer.alloc(1)])))).toEqual(NOT_OPENED);
    for (let at = 0; at < stored.length; at++) {
      const shortened = Buffer.concat([stored.subarray(0, at), stored.subarray(at + 1)]);
      expect(failureOf(openWith(shortened))).toEqual(NOT_OPENED);
    }
  });

  test('a header length that claims more or less than there is', () => {
    for (let claimed = 0; claimed <= 0xffff; claimed += claimed < 200 ? 1 : 997) {
      if (claimed === HEADER.length) continue;
      const altered = Buffer.from(stored);
      altered.writeUInt16BE(claimed, 9);
      expect(failureOf(openWith(altered))).toEqual(NOT_OPENED);
    }
  });

  test('arbitrary bytes, also behind a right version and key id', () => {
    const start = stored.subarray(0, 9);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(failureOf(openWith(Buffer.from(noise)))).toEqual(NOT_OPENED);
        expect(failureOf(openWith(Buffer.concat([start, noise])))).toEqual(NOT_OPENED);
      }),
    );
  });

  test('a plaintext record', () => {
    expect(failureOf(openWith(PLAINTEXT))).toEqual(NOT_OPENED);
  });

  test('the id of another record', () => {
    fc.assert(
      fc.property(wellFormedId, (id) => {
        fc.pre(id !== ID);
        expect(failureOf(openWith(stored, recordKey, id))).toEqual(NOT_OPENED);
      }),
    );
  });

  test.each([
    ['too long to have been sealed', 'x'.repeat(65_536)],
    ['with a lone surrogate', '\ud800'],
  ])('an id %s', (_, id) => {
    expect(failureOf(openWith(stored, recordKey, id))).toEqual(NOT_OPENED);
  });

  test('another collection of the same key', () => {
    expect(failureOf(openWith(stored, key.recordKey('remote')))).toEqual(NOT_OPENED);
  });

  test('another key: other halves, halves exchanged, one half of another pair', () => {
    const other = KeyHalf.fromHex('c3'.repeat(32));
    for (const [a, b] of [
      [other, other],
      [halfB, halfA],
      [halfA, other],
      [other, halfB],
    ] as const) {
      const otherKey = VaultKey.derive(a, b);
      expect(failureOf(openWith(stored, otherKey.recordKey('server')))).toEqual(NOT_OPENED);
      const relabelled = Buffer.from(stored);
      otherKey.idBytes.copy(relabelled, 1);
      expect(failureOf(openWith(relabelled, otherKey.recordKey('server')))).toEqual(NOT_OPENED);
      expect(failureOf(openWith(relabelled))).toEqual(NOT_OPENED);
    }
  });

  test('the header of another record, even of one that opens', () => {
    const other = sealEnvelope(recordKey, ID, PLAINTEXT, Buffer.from('other header'));
    const swapped = Buffer.concat([other.subarray(0, 11 + 12), stored.subarray(11 + 12)]);
    expect(swapped).toHaveLength(stored.length);
    expect(failureOf(openWith(swapped))).toEqual(NOT_OPENED);
  });

  test('bytes moved between header, collection and id', () => {
    // The same text in all, cut elsewhere: only the length prefixes tell these apart.
    const sealed = sealEnvelope(key.recordKey('ab'), 'cd', PLAINTEXT, Buffer.from('xy'));
    expect(openEnvelope(key.recordKey('ab'), 'cd', sealed).equals(PLAINTEXT)).toBe(true);
    expect(failureOf(openWith(sealed, key.recordKey('a'), 'bcd'))).toEqual(NOT_OPENED);
    expect(failureOf(openWith(sealed, key.recordKey('abc'), 'd'))).toEqual(NOT_OPENED);
  });

  test('nonce, ciphertext or tag of another envelope of the same record', () => {
    const other = sealEnvelope(recordKey, ID, PLAINTEXT, HEADER);
    const nonceAt = 11 + HEADER.length;
    const cipherAt = nonceAt + 12;
    for (const [start, end] of [
      [nonceAt, cipherAt],
      [cipherAt, stored.length - 16],
      [stored.length - 16, stored.length],
    ] as const) {
      const mixed = Buffer.from(stored);
      other.copy(mixed, start, start, end);
      expect(failureOf(openWith(mixed))).toEqual(NOT_OPENED);
    }
  });
});
