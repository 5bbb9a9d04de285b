import { describe, expect, test } from '@jest/globals';
import {
  ENVELOPE_OVERHEAD_BYTES,
  ENVELOPE_VERSION,
  envelopeKeyId,
  isEnvelope,
  KeyHalf,
  LENGTH_PREFIX_MAX,
  NONCE_BYTES,
  openEnvelope,
  parseEnvelope,
  sealEnvelope,
  TAG_BYTES,
  VaultKey,
} from '../src/index.js';

const key = VaultKey.derive(KeyHalf.generate(), KeyHalf.generate());
const recordKey = key.recordKey('server');
const record = Buffer.from('{"host":"xen01"}');

describe('layout', () => {
  const stored = sealEnvelope(recordKey, 'id', record, Buffer.from('head'));

  test('is version, key id, prefixed header, nonce, ciphertext, tag', () => {
    expect(stored[0]).toBe(ENVELOPE_VERSION);
    expect(stored.toString('hex', 1, 9)).toBe(key.id);
    expect(stored.readUInt16BE(9)).toBe(4);
    expect(stored.toString('utf8', 11, 15)).toBe('head');
    expect(stored).toHaveLength(15 + NONCE_BYTES + record.length + TAG_BYTES);
    expect(ENVELOPE_OVERHEAD_BYTES).toBe(39);
  });

  test('shows nothing of the plaintext', () => {
    expect(stored.includes('xen01')).toBe(false);
  });
});

describe('limits of sealing', () => {
  test('a header of 65 535 bytes is taken, one more is a RangeError', () => {
    const longest = Buffer.alloc(LENGTH_PREFIX_MAX);
    const stored = sealEnvelope(recordKey, 'id', record, longest);
    expect(openEnvelope(recordKey, 'id', stored).equals(record)).toBe(true);
    const longer = Buffer.alloc(LENGTH_PREFIX_MAX + 1);
    expect(() => sealEnvelope(recordKey, 'id', record, longer)).toThrow(
      new RangeError('expected a clear header of at most 65535 bytes, met 65536'),
    );
  });

  test('an id of 65 535 bytes is taken, one more is a RangeError that does not hold it', () => {
    const longest = 'é'.repeat(32_767) + 'x';
    const stored = sealEnvelope(recordKey, longest, record);
    expect(openEnvelope(recordKey, longest, stored).equals(record)).toBe(true);
    expect(() => sealEnvelope(recordKey, `${longest}y`, record)).toThrow(
      /^expected a record id of at most 65535 bytes of well-formed Unicode, met 65536 bytes$/,
    );
  });

  test('an id with a lone surrogate is refused: it would open under the id with U+FFFD', () => {
    for (const id of ['\ud800', 'a\udc00b', '\udc00\ud800']) {
      expect(() => sealEnvelope(recordKey, id, record)).toThrow(RangeError);
    }
    const paired = '\ud83d\udd11';
    const stored = sealEnvelope(recordKey, paired, record);
    expect(openEnvelope(recordKey, paired, stored).equals(record)).toBe(true);
  });

  test('a refused record is not counted as an encryption', () => {
    const before = key.encryptions;
    expect(() => sealEnvelope(recordKey, '\ud800', record)).toThrow(RangeError);
    expect(key.encryptions).toBe(before);
    sealEnvelope(recordKey, 'id', record);
    expect(key.encryptions).toBe(before + 1);
  });
});

describe('what can be told without a key', () => {
  const stored = sealEnvelope(recordKey, 'id', record);

  test('a plaintext record is no envelope', () => {
    expect(isEnvelope(stored)).toBe(true);
    expect(isEnvelope(record)).toBe(false);
    expect(isEnvelope(Buffer.alloc(0))).toBe(false);
  });

  test('the key id, as soon as there are enough bytes for it', () => {
    expect(envelopeKeyId(stored)).toBe(key.id);
    expect(envelopeKeyId(stored.subarray(0, 9))).toBe(key.id);
    expect(envelopeKeyId(stored.subarray(0, 8))).toBeUndefined();
    expect(envelopeKeyId(Buffer.from('{"host":"xen01"}'))).toBeUndefined();
  });

  test('parts only of a whole envelope of this version', () => {
    expect(parseEnvelope(stored.subarray(0, ENVELOPE_OVERHEAD_BYTES - 1))).toBeUndefined();
    const newer = Buffer.from(stored);
    newer[0] = 2;
    expect(parseEnvelope(newer)).toBeUndefined();
    const claiming = Buffer.from(stored);
    claiming.writeUInt16BE(record.length + 1, 9);
    expect(parseEnvelope(claiming)).toBeUndefined();
  });
});
