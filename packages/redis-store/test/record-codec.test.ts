import { describe, expect, test } from '@jest/globals';
import { RecordCodec } from '../src/records/record-codec.js';
import { newKey, SERVER } from './store-fixture.js';

const RECORD = { host: 'xcp-1.example.org', username: 'root', email: 'ops@example.org' };

describe('the entries that an envelope names', () => {
  const key = newKey();
  const codec = new RecordCodec('server', SERVER);
  const own = codec.entries(RECORD, key);
  const json = Buffer.from(JSON.stringify(RECORD));

  test('are those that it was written with, in whatever order', () => {
    expect(own).toHaveLength(4);
    expect(codec.isFiledUnder(codec.encode(key, 'a', json, own), own)).toBe(true);
    expect(codec.isFiledUnder(codec.encode(key, 'a', json, own.toReversed()), own)).toBe(true);
  });

  test('are others where one is missing, is too many, or has another token', () => {
    const other = codec.entries({ ...RECORD, host: 'xcp-2.example.org' }, key);
    const differing = [
      own.slice(1),
      [...own, ...other],
      [...own.slice(1), ...own.slice(1, 2)],
      other,
    ];
    for (const entries of differing) {
      expect(codec.isFiledUnder(codec.encode(key, 'a', json, entries), own)).toBe(false);
    }
  });

  test('are none in bytes that are no whole envelope', () => {
    expect(codec.isFiledUnder(codec.encode(key, 'a', json, own).subarray(0, 20), own)).toBe(false);
    expect(codec.isFiledUnder(Buffer.alloc(0), own)).toBe(false);
  });
});
