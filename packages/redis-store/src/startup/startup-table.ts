/**
 * What happens at a start, in each case: the table of the design as data. The first row that fits
 * decides; a case that no row names leaves the server degraded.
 */
import type { CustodyReport, KeyId } from '@vault/crypto';
import type { DatabaseState } from '../state/database-state.js';
import type { DegradedReason } from '../errors.js';

/** What seal, witness and fences (and the data, where there is no seal) say together. */
export type ObservedKind =
  /** proven plaintext or empty */
  | 'plaintext'
  /** plaintext, with an import that was not finished */
  | 'importing-plaintext'
  /** under a key, with an import that was not finished */
  | 'importing-encrypted'
  | Exclude<DatabaseState, 'plaintext'>
  /** the seal is missing or invalid, while witness and every fence agree on an encrypted database */
  | 'resealable'
  | 'newer-layout'
  /** foreign database, or the witness disagrees */
  | 'refused';

export interface Observed {
  readonly kind: ObservedKind;
  /** Keys without which what is stored cannot be opened. */
  readonly neededKeyIds: readonly KeyId[];
  /** One sentence, for what is refused. */
  readonly cause?: string;
}

/** How the halves stand to the keys that are needed. */
export type HalvesFit = 'none' | 'one' | 'unpaired' | 'foreign' | 'wrong' | 'unreadable' | 'right';

export type StartAction = 'serve' | 'encrypt' | 'decrypt' | 'finish' | 'reseal';
export type Decision =
  | { readonly action: StartAction }
  | { readonly action: 'degrade'; readonly reason: DegradedReason };

/** A row; an absent column fits everything. */
export interface StartRow {
  readonly setting?: boolean;
  readonly halves?: readonly HalvesFit[];
  readonly observed?: readonly ObservedKind[];
  readonly act: StartAction | { readonly degrade: DegradedReason };
}

const KEYED: readonly ObservedKind[] = [
  'encrypting',
  'scrubbing',
  'encrypted',
  'rekeying',
  'decrypting',
  'importing-encrypted',
  'resealable',
];

export const STARTUP_TABLE: readonly StartRow[] = [
  { observed: ['newer-layout'], act: { degrade: 'newerLayout' } },
  { observed: ['refused'], act: { degrade: 'foreignDatabase' } },

  // Whatever the setting: an import begun is finished first, a lost seal is made again first.
  { observed: ['importing-plaintext'], act: 'finish' },
  { halves: ['right'], observed: ['importing-encrypted'], act: 'finish' },
  // Beside serving; but what is to be decrypted is under one key first.
  { setting: true, halves: ['right'], observed: ['rekeying'], act: 'serve' },
  { setting: false, halves: ['right'], observed: ['rekeying'], act: 'finish' },
  { halves: ['right'], observed: ['resealable'], act: 'reseal' },

  {
    setting: true,
    halves: ['none', 'one', 'unpaired', 'right'],
    observed: ['plaintext'],
    act: 'encrypt',
  },
  { setting: true, halves: ['right'], observed: ['encrypting', 'decrypting'], act: 'encrypt' },
  { setting: true, halves: ['right'], observed: ['scrubbing'], act: 'finish' },
  { setting: true, halves: ['right'], observed: ['encrypted'], act: 'serve' },
  { setting: true, halves: ['none'], observed: KEYED, act: { degrade: 'keysMissing' } },
  { setting: true, halves: ['one'], observed: KEYED, act: { degrade: 'oneHalf' } },
  {
    setting: true,
    halves: ['unpaired', 'wrong'],
    observed: KEYED,
    act: { degrade: 'decryptionFailed' },
  },
  // Nothing is written beside another system's half, and nothing is encrypted with it.
  {
    setting: true,
    halves: ['unreadable', 'foreign'],
    observed: ['plaintext'],
    act: { degrade: 'encryptionFailed' },
  },
  { setting: true, halves: ['unreadable'], observed: KEYED, act: { degrade: 'decryptionFailed' } },

  {
    setting: false,
    halves: ['right'],
    observed: ['encrypted', 'encrypting', 'decrypting', 'scrubbing'],
    act: 'decrypt',
  },
  { setting: false, observed: ['plaintext'], act: 'serve' },
  { setting: false, halves: ['none'], observed: KEYED, act: { degrade: 'keysMissing' } },
  { setting: false, halves: ['one'], observed: KEYED, act: { degrade: 'oneHalf' } },
  {
    setting: false,
    halves: ['unpaired', 'wrong', 'unreadable'],
    observed: KEYED,
    act: { degrade: 'keyLoadingFailed' },
  },
];

/**
 * How the halves that were loaded stand to the keys that are needed. A foreign half counts only where a new pair
 * would be written: whether one that fits nothing was once ours, it does not open what is stored.
 */
export function fitOf(
  { state, ring, halves }: Pick<CustodyReport, 'state' | 'ring' | 'halves'>,
  neededKeyIds: readonly KeyId[],
): HalvesFit {
  const isForeign = halves.some(({ status }) => status === 'foreign');
  const isAppending = state === 'none' || state === 'one' || state === 'unpaired';
  if (isForeign && isAppending && neededKeyIds.length === 0) return 'foreign';
  if (state !== 'paired') return state;
  return neededKeyIds.every((id) => ring.byId(id) !== undefined) ? 'right' : 'wrong';
}

/** Finds the row. */
export function decide(setting: boolean, halves: HalvesFit, observed: ObservedKind): Decision {
  const row = STARTUP_TABLE.find(
    (candidate) =>
      (candidate.setting ?? setting) === setting &&
      (candidate.halves?.includes(halves) ?? true) &&
      (candidate.observed?.includes(observed) ?? true),
  );
  if (row === undefined) return { action: 'degrade', reason: 'startFailed' };
  return typeof row.act === 'string'
    ? { action: row.act }
    : { action: 'degrade', reason: row.act.degrade };
}
