/** Our own format against vectors that Python made (vectors/generate.py). They are frozen: a failure here means that stored records no longer open. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { sealEnvelopeWithNonce } from '../src/envelope.js';
import {
  blindIndexToken,
  decodeIndexEntries,
  encodeIndexEntries,
  joinNormalised,
  KeyHalf,
  normaliseValue,
  openEnvelope,
  parseEnvelope,
  VaultKey,
} from '../src/index.js';
import type { IndexEntry, MacPurpose, Normalisation } from '../src/index.js';
import { pattern, readJson } from './vectors/read.js';

interface Vectors {
  readonly keys: readonly { halfA: string; halfB: string; keyId: string }[];
  readonly tokens: readonly {
    key: number;
    collection: string;
    index: string;
    value: string;
    normalisation: Normalisation;
    normalised: string;
    token: string;
  }[];
  readonly compoundTokens: readonly {
    key: number;
    collection: string;
    index: string;
    fields: string[];
    joined: string;
    token: string;
  }[];
  readonly indexEntries: readonly { entries: IndexEntry[]; bytes: string }[];
  readonly envelopes: readonly {
    key: number;
    collection: string;
    id: string;
    header: string;
    nonce: string;
    plaintext: string;
    envelope: string;
  }[];
  readonly sizedEnvelopes: readonly {
    headerBytes: number;
    plaintextBytes: number;
    envelopeBytes: number;
    sha256: string;
  }[];
  readonly macs: readonly {
    key: number;
    purpose: MacPurpose;
    parts: (string | { repeat: string; times: number })[];
    mac: string;
  }[];
}

const vectors = readJson('format-v1.json') as Vectors;
const keys = vectors.keys.map(({ halfA, halfB }) =>
  VaultKey.derive(KeyHalf.fromHex(halfA), KeyHalf.fromHex(halfB)),
);

function keyAt(index: number): VaultKey {
  const key = keys[index];
  if (key === undefined) throw new Error(`the vectors have no key ${index}`);
  return key;
}

function fixedNonce(nonce: Buffer): (target: Buffer, offset: number) => void {
  return (target, offset) => void nonce.copy(target, offset);
}

test('the vectors are the frozen ones', () => {
  // Of the values, not of the file's layout. It changes only when somebody rewrites what must not be rewritten.
  const digest = createHash('sha256').update(JSON.stringify(vectors)).digest('hex');
  expect(digest).toBe('ffdfdd8811eb736c11806e631ed79535fdb65f81274bc2f0a4bbf4c275de8a9e');
});

test.each(vectors.keys)('halves give key id $keyId', ({ keyId, halfA, halfB }) => {
  const key = VaultKey.derive(KeyHalf.fromHex(halfA), KeyHalf.fromHex(halfB));
  expect(key.id).toBe(keyId);
  expect(key.idBytes.toString('hex')).toBe(keyId);
});

test.each(vectors.tokens)(
  'token of $value ($normalisation) in $collection.$index under key $key',
  ({ key, collection, index, value, normalisation, normalised, token }) => {
    expect(normaliseValue(value, normalisation)).toBe(normalised);
    const indexKey = keyAt(key).indexKey(collection, index);
    expect(blindIndexToken(indexKey, normalised)).toBe(token);
    expect(blindIndexToken(indexKey, Buffer.from(normalised))).toBe(token);
  },
);

test.each(vectors.compoundTokens)(
  'compound token of $fields',
  ({ key, collection, index, fields, joined, token }) => {
    const bytes = joinNormalised(fields.map((field) => normaliseValue(field)));
    expect(bytes.toString('hex')).toBe(joined);
    expect(blindIndexToken(keyAt(key).indexKey(collection, index), bytes)).toBe(token);
  },
);

test.each(vectors.indexEntries)('index entries $bytes, both ways', ({ entries, bytes }) => {
  expect(encodeIndexEntries(entries).toString('hex')).toBe(bytes);
  expect(decodeIndexEntries(Buffer.from(bytes, 'hex'))).toEqual(entries);
});

describe.each(vectors.envelopes)(
  'envelope in $collection under key $key, id "$id"',
  ({ key, collection, id, header, nonce, plaintext, envelope }) => {
    const recordKey = keyAt(key).recordKey(collection);
    const stored = Buffer.from(envelope, 'hex');

    test('is what sealing with that nonce gives', () => {
      const sealed = sealEnvelopeWithNonce(
        fixedNonce(Buffer.from(nonce, 'hex')),
        recordKey,
        id,
        Buffer.from(plaintext, 'hex'),
        Buffer.from(header, 'hex'),
      );
      expect(sealed.toString('hex')).toBe(envelope);
    });

    test('opens', () => {
      expect(openEnvelope(recordKey, id, stored).toString('hex')).toBe(plaintext);
    });

    test('shows its clear parts without a key', () => {
      const parts = parseEnvelope(stored);
      expect(parts?.keyId).toBe(vectors.keys[key]?.keyId);
      expect(parts?.clearHeader.toString('hex')).toBe(header);
      expect(parts?.nonce.toString('hex')).toBe(nonce);
    });
  },
);

test.each(vectors.sizedEnvelopes)(
  'envelope with a header of $headerBytes bytes and a plaintext of $plaintextBytes',
  ({ headerBytes, plaintextBytes, envelopeBytes, sha256 }) => {
    const plaintext = pattern(plaintextBytes);
    const recordKey = keyAt(0).recordKey('server');
    const write = fixedNonce(pattern(12));
    const sealed = sealEnvelopeWithNonce(write, recordKey, 'id', plaintext, pattern(headerBytes));
    expect(sealed).toHaveLength(envelopeBytes);
    expect(createHash('sha256').update(sealed).digest('hex')).toBe(sha256);
    expect(openEnvelope(recordKey, 'id', sealed).equals(plaintext)).toBe(true);
  },
);

test.each(vectors.macs)('MAC for $purpose over $parts', ({ key, purpose, parts, mac }) => {
  const texts = parts.map((part) =>
    typeof part === 'string' ? part : part.repeat.repeat(part.times),
  );
  expect(
    keyAt(key)
      .mac(purpose, ...texts)
      .toString('hex'),
  ).toBe(mac);
  const bytes = texts.map((text) => Buffer.from(text));
  expect(keyAt(key).isMac(purpose, Buffer.from(mac, 'hex'), ...bytes)).toBe(true);
});
