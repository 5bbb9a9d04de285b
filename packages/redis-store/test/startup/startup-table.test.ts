/** Every case of a start: setting × halves × what is observed, against the table of the design written out. */
import { describe, expect, it } from '@jest/globals';
import type { HalfReport } from '@vault/crypto';
import { decide, fitOf } from '../../src/startup/startup-table.js';
import type { HalvesFit, ObservedKind } from '../../src/startup/startup-table.js';
import { newKey } from '../store-fixture.js';

const FITS: readonly HalvesFit[] = [
  'none',
  'one',
  'unpaired',
  'foreign',
  'wrong',
  'unreadable',
  'right',
];

/** Outcome in the order of FITS. */
type Line = readonly [string, string, string, string, string, string, string];
const same = (outcome: string): Line => [
  outcome,
  outcome,
  outcome,
  outcome,
  outcome,
  outcome,
  outcome,
];

const NO_KEYS_ON: Line = [
  'keysMissing',
  'oneHalf',
  'decryptionFailed',
  // Foreign counts only where no key is needed.
  'startFailed',
  'decryptionFailed',
  'decryptionFailed',
  '',
];
const NO_KEYS_OFF: Line = [
  'keysMissing',
  'oneHalf',
  'keyLoadingFailed',
  'startFailed',
  'keyLoadingFailed',
  'keyLoadingFailed',
  '',
];
const withKeys = (line: Line, outcome: string): Line =>
  [...line.slice(0, 6), outcome] as unknown as Line;

const EXPECTED: Readonly<Record<'on' | 'off', Readonly<Record<ObservedKind, Line>>>> = {
  on: {
    // No key is needed in plaintext, so halves are never "wrong": the table does not name it.
    plaintext: [
      'encrypt',
      'encrypt',
      'encrypt',
      'encryptionFailed',
      'startFailed',
      'encryptionFailed',
      'encrypt',
    ],
    'importing-plaintext': same('finish'),
    'importing-encrypted': withKeys(NO_KEYS_ON, 'finish'),
    encrypting: withKeys(NO_KEYS_ON, 'encrypt'),
    scrubbing: withKeys(NO_KEYS_ON, 'finish'),
    encrypted: withKeys(NO_KEYS_ON, 'serve'),
    rekeying: withKeys(NO_KEYS_ON, 'serve'),
    decrypting: withKeys(NO_KEYS_ON, 'encrypt'),
    resealable: withKeys(NO_KEYS_ON, 'reseal'),
    'newer-layout': same('newerLayout'),
    refused: same('foreignDatabase'),
  },
  off: {
    plaintext: same('serve'),
    'importing-plaintext': same('finish'),
    'importing-encrypted': withKeys(NO_KEYS_OFF, 'finish'),
    encrypting: withKeys(NO_KEYS_OFF, 'decrypt'),
    scrubbing: withKeys(NO_KEYS_OFF, 'decrypt'),
    encrypted: withKeys(NO_KEYS_OFF, 'decrypt'),
    rekeying: withKeys(NO_KEYS_OFF, 'finish'),
    decrypting: withKeys(NO_KEYS_OFF, 'decrypt'),
    resealable: withKeys(NO_KEYS_OFF, 'reseal'),
    'newer-layout': same('newerLayout'),
    refused: same('foreignDatabase'),
  },
};

const CASES = (['on', 'off'] as const).flatMap((setting) =>
  (Object.entries(EXPECTED[setting]) as [ObservedKind, Line][]).flatMap(([observed, line]) =>
    FITS.map((halves, i) => ({ setting, halves, observed, outcome: line[i] ?? '' })),
  ),
);

describe('the startup table', () => {
  it.each(CASES)(
    'encryption $setting, halves $halves, $observed: $outcome',
    ({ setting, halves, observed, outcome }) => {
      const decision = decide(setting === 'on', halves, observed);
      expect(decision.action === 'degrade' ? decision.reason : decision.action).toBe(outcome);
    },
  );
});

describe('how halves fit', () => {
  const key = newKey();
  const other = newKey();
  const ring = { ids: [key.id], byId: (id: string) => (id === key.id ? key : undefined) };
  const empty = { ids: [], byId: () => undefined };
  const half = (name: 'A' | 'B', status: HalfReport['status']): HalfReport => ({
    half: name,
    source: 'file',
    place: '/somewhere',
    status,
    keyIds: [],
    isWritable: true,
    isShared: false,
  });
  const found = [half('A', 'found'), half('B', 'found')] as const;
  const foreign = [half('A', 'found'), half('B', 'foreign')] as const;

  it('is right when every needed key is there, or none is needed', () => {
    expect(fitOf({ state: 'paired', ring, halves: found }, [key.id])).toBe('right');
    expect(fitOf({ state: 'paired', ring, halves: found }, [])).toBe('right');
  });
  it('is wrong when one of the needed keys is not there', () => {
    expect(fitOf({ state: 'paired', ring, halves: found }, [key.id, other.id])).toBe('wrong');
  });
  it.each(['none', 'one', 'unpaired', 'unreadable'] as const)(
    'passes on that they are %s',
    (state) => {
      expect(fitOf({ state, ring: empty, halves: found }, [key.id])).toBe(state);
    },
  );
  it.each(['none', 'one', 'unpaired'] as const)(
    'is foreign where a new pair would be written beside what another system wrote (%s)',
    (state) => {
      expect(fitOf({ state, ring: empty, halves: foreign }, [])).toBe('foreign');
      expect(fitOf({ state, ring: empty, halves: foreign }, [key.id])).toBe(state);
    },
  );
  it('is not foreign where nothing is known of the other half, or a key of ours is there', () => {
    expect(fitOf({ state: 'unreadable', ring: empty, halves: foreign }, [])).toBe('unreadable');
    expect(fitOf({ state: 'paired', ring, halves: foreign }, [])).toBe('right');
  });
});
