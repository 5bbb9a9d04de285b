/** Key material and its halves never reach a message, a log or a clone, by any of the roads by which objects become text. */
import { format, inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { CryptoError, KeyHalf, openEnvelope, sealEnvelope, VaultKey } from '../src/index.js';

const HALF_A = 'a7'.repeat(16) + '5c'.repeat(16);
const HALF_B = '3e'.repeat(16) + 'd9'.repeat(16);
const key = VaultKey.derive(KeyHalf.fromHex(HALF_A), KeyHalf.fromHex(HALF_B));
/** HKDF output for `server`, and for its index `host`: what must not show either. */
const derived = { record: key.recordKey('server'), index: key.indexKey('server', 'host') };
const recordKeyBytes = derived.record.secret.export();

const SECRETS: readonly Buffer[] = [
  Buffer.from(HALF_A, 'hex'),
  Buffer.from(HALF_B, 'hex'),
  recordKeyBytes,
];

/** Each secret as it would show in a dump, from its first bytes on; blanks are taken out of both before they are compared. */
const FORMS = SECRETS.flatMap((secret) => {
  const start = secret.subarray(0, 6);
  return [
    start.toString('hex'),
    [...start].join(','),
    start.toString('base64'),
    start.toString('base64url'),
    start.toString('latin1'),
  ];
});

function isShown(text: string): boolean {
  const compact = text.replaceAll(/\s/g, '').toLowerCase();
  return FORMS.some((form) => compact.includes(form.toLowerCase()));
}

const SUBJECTS = {
  KeyHalf: KeyHalf.fromHex(HALF_A),
  VaultKey: key,
  RecordKey: derived.record,
  IndexKey: derived.index,
} as const;

type Printable = (typeof SUBJECTS)[keyof typeof SUBJECTS];

const ROADS: Readonly<Record<string, (value: Printable) => string>> = {
  'String()': (value) => String(value),
  'toString()': (value) => `<${value.toString()}>`,
  'JSON.stringify': (value) => JSON.stringify(value),
  'JSON.stringify, nested': (value) => JSON.stringify({ list: [value] }),
  inspect: (value) => inspect(value),
  'inspect, everything shown': (value) =>
    inspect(value, { showHidden: true, depth: Infinity, getters: true, showProxy: true }),
  'inspect without its custom form': (value) =>
    inspect(value, { customInspect: false, showHidden: true, depth: Infinity, getters: true }),
  'inspect, nested': (value) => inspect({ value, list: [value] }, { depth: Infinity }),
  'format %s': (value) => format('%s', value),
  'format %o': (value) => format('%o', value),
  'format %O': (value) => format('%O', value),
  'format %j': (value) => format('%j', value),
  'own property values': (value) => inspect(Object.entries(value), { depth: Infinity }),
  'error message': (value) => inspect(new Error(`bad ${value.toString()}`)),
  'error cause': (value) => inspect(new Error('bad', { cause: value })),
};

test('the search finds each secret in a dump that shows it', () => {
  for (const secret of SECRETS) {
    expect(isShown(secret.toString('hex'))).toBe(true);
    expect(isShown(inspect(secret))).toBe(true);
    expect(isShown(JSON.stringify(secret))).toBe(true);
    expect(isShown(secret.toString('base64'))).toBe(true);
    expect(isShown(inspect(new Uint8Array(secret)))).toBe(true);
  }
});

describe.each(Object.entries(SUBJECTS))('%s', (_, subject) => {
  test.each(Object.entries(ROADS))('shows nothing by %s', (__, toText) => {
    expect(isShown(toText(subject))).toBe(false);
  });

  test('prints as [redacted]', () => {
    expect(String(subject)).toBe('[redacted]');
    expect(JSON.stringify({ subject })).toBe('{"subject":"[redacted]"}');
    expect(inspect(subject)).toMatch(/\[redacted\]$/);
  });

  test('takes no secret along in structuredClone', () => {
    const clone: unknown = structuredClone(subject);
    expect(isShown(inspect(clone, { showHidden: true, depth: Infinity }))).toBe(false);
  });

  test('has no own property that holds a secret', () => {
    for (const name of Reflect.ownKeys(subject)) {
      expect(
        isShown(inspect(Reflect.get(subject, name), { depth: Infinity, showHidden: true })),
      ).toBe(false);
    }
  });
});

test('the key id says nothing of the keys: it is in none of them', () => {
  expect(isShown(key.id)).toBe(false);
});

describe('errors', () => {
  const stored = sealEnvelope(derived.record, 'record-marker', Buffer.from('plain-marker'));
  const failures: Readonly<Record<string, () => unknown>> = {
    'a half that is too long': () => KeyHalf.fromHex(`${HALF_A}00`),
    'a half that is no hexadecimal': () => KeyHalf.fromHex(`z${HALF_A.slice(1)}`),
    'a half of too many bytes': () => KeyHalf.fromBytes(Buffer.from(`${HALF_A}00`, 'hex')),
    'an envelope of another record': () => openEnvelope(derived.record, 'other-marker', stored),
    'a key that was destroyed': () => {
      const half = KeyHalf.fromHex(HALF_A);
      half.destroy();
      return half.unsafeBytes();
    },
  };

  test.each(Object.entries(failures))('%s: one literal code, no cause, no value', (_, attempt) => {
    let met: unknown;
    try {
      attempt();
    } catch (error) {
      met = error;
    }
    if (!(met instanceof CryptoError)) throw new Error('expected a CryptoError');
    expect(met.code).toMatch(/^[A-Z_]+$/);
    expect(met.cause).toBeUndefined();
    const text = inspect(met, { showHidden: true, depth: Infinity });
    expect(text).not.toContain('marker');
    expect(isShown(text)).toBe(false);
  });
});
