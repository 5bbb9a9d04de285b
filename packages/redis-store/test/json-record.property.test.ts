/** The validator of records: what it accepts comes back the same, and every limit is met at its edge. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkRecord, encodeRecord, RECORD_LIMITS } from '../src/index.js';
import { decodeRecord } from '../src/records/json-record.js';
import type { CollectionDefinition, CredentialRecord } from '../src/index.js';

const DEFINITION: CollectionDefinition = {
  fields: {
    host: { type: 'string' },
    port: { type: 'number' },
    options: { type: 'json' },
    password: { type: 'secret' },
  },
  indexes: { place: { kind: 'exact', fields: ['host', 'port'] } },
};
const DEFINITIONS = { server: DEFINITION };

/** Anything that a caller could hand over, JSON or not. */
const anything = fc.oneof(
  fc.jsonValue(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\ud800', 'a\udfff', -0, 1e300, Infinity, NaN, 2 ** 60, undefined, new Date(0)),
  fc.dictionary(fc.constantFrom('__proto__', 'constructor', '', 'a', '\ud800'), fc.jsonValue()),
  fc.integer({ min: 1, max: 40 }).map((depth) => nested(depth)),
  fc.array(fc.constantFrom(undefined, null, 1), { maxLength: 3 }),
);

/** So many arrays inside each other, the innermost empty. */
function nested(depth: number): CredentialRecord['x'] {
  return JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`) as CredentialRecord['x'];
}
function refusal(record: object): string | undefined {
  try {
    encodeRecord('server', DEFINITION, record as CredentialRecord);
    return undefined;
  } catch (error) {
    return (error as { problem?: string }).problem ?? String(error);
  }
}

describe('what the validator of records accepts', () => {
  it('comes back, is accepted again, and is written in the same bytes', () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.record(
          {
            host: fc.oneof(fc.string({ unit: 'binary' }), anything),
            port: fc.oneof(fc.double(), anything),
            options: anything,
            password: anything,
          },
          { requiredKeys: [] },
        ),
        (record) => {
          if (refusal(record) !== undefined) return;
          accepted += 1;
          const json = encodeRecord('server', DEFINITION, record as CredentialRecord);
          const back = decodeRecord(json);
          expect(checkRecord(DEFINITIONS, 'server', 'a', back ?? {}).json.equals(json)).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('the limits of a record', () => {
  const { depth, values, bytes, compoundFieldBytes } = RECORD_LIMITS;

  it('count objects and arrays inside each other, whatever is in the innermost', () => {
    expect(refusal({ options: nested(depth) })).toBeUndefined();
    expect(refusal({ options: nested(depth + 1) })).toBe('is nested deeper than 32');
    const full = `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
    const deepest: unknown = JSON.parse(full);
    expect(refusal({ options: deepest })).toBeUndefined();
    expect(refusal({ options: [deepest] })).toBe('is nested deeper than 32');
  });

  it('count the values of all fields together', () => {
    const most = Array.from({ length: values - 2 }, () => 0);
    expect(refusal({ port: 1, options: most })).toBeUndefined();
    expect(refusal({ port: 1, host: 'h', options: most })).toBe('makes it more than 16384 values');
  });

  it('count bytes, not characters', () => {
    const rest = bytes - Buffer.byteLength('{"password":""}');
    expect(refusal({ password: 'é'.repeat(rest / 2) + 'x'.repeat(rest % 2) })).toBeUndefined();
    expect(refusal({ password: 'x'.repeat(rest + 1) })).toContain('at most 1048576 bytes');
  });

  it('keep what a compound index cannot be made of', () => {
    expect(refusal({ host: 'x'.repeat(compoundFieldBytes), port: 1 })).toBeUndefined();
    // One character of three bytes, whose normal form has 33.
    expect(refusal({ host: '\ufdfa'.repeat(2000), port: 1 })).toContain('at most 65535 bytes');
  });

  it.each([
    ['a lone surrogate', { password: 'a\ud800' }, 'is not Unicode'],
    ['one in a name', { options: { '\udfff': 1 } }, 'is not Unicode'],
    ['a number too large for JSON', { options: [1e308 * 10] }, 'a number that JSON cannot write'],
    ['a hole in an array', { options: Array.from({ length: 1 }) }, 'which JSON cannot write'],
    ['a name of every object', { options: JSON.parse('{"__proto__":1}') as object }, 'is refused'],
  ])('keep out %s', (_, record, problem) => {
    expect(refusal(record)).toContain(problem);
  });
});
