/**
 * Whether the database is to be encrypted: what the setting, the origin of the database and its pin
 * say together. Decrypting is never the effect of something that is not there: a line that went
 * missing, a file that was not read.
 */
import type { KeyRing } from '@vault/crypto';
import type { DatabaseOrigin, DatabaseState } from '../state/database-state.js';
import type { OpenOptions } from '../open-options.js';
import { isDecryptionConfirmed } from './decrypt-confirmation.js';
import type { Observation } from './observe.js';

/** What is known of the database: of its seal, else of the local witness. */
export interface IntentBasis {
  readonly state: DatabaseState;
  readonly origin: DatabaseOrigin;
  readonly pinned: boolean;
}

export type IntentReason = 'setting' | 'origin' | 'pin';

export interface Intent {
  readonly isEncrypting: boolean;
  /** What decided. */
  readonly because: IntentReason;
}

/** A row; an absent column fits everything. */
export interface IntentRow {
  /** Of the configuration; `null`: the line is absent. */
  readonly setting?: boolean | null;
  readonly states?: readonly DatabaseState[];
  readonly origin?: DatabaseOrigin;
  readonly pinned?: boolean;
  /** Somebody with the halves confirmed that this database may be decrypted, at its present epoch. */
  readonly confirmed?: boolean;
  readonly intent: Intent;
}

const ON = { isEncrypting: true, because: 'setting' } as const;
const OFF = { isEncrypting: false, because: 'setting' } as const;

/** The first row that fits decides. */
export const INTENT_TABLE: readonly IntentRow[] = [
  { setting: true, intent: ON },
  // Nothing is decrypted by leaving plaintext as it is.
  { states: ['plaintext'], intent: OFF },

  { setting: false, pinned: true, confirmed: true, intent: OFF },
  // It was confirmed when it began.
  { setting: false, pinned: true, states: ['decrypting'], intent: OFF },
  { pinned: true, intent: { isEncrypting: true, because: 'pin' } },

  { setting: false, intent: OFF },
  { origin: 'made-encrypted', intent: { isEncrypting: true, because: 'origin' } },
  { origin: 'switched-on', intent: OFF },
];

/**
 * Finds the row.
 * @param basis `undefined` where there is no database yet
 */
export function intentOf(
  setting: boolean | undefined,
  basis: IntentBasis | undefined,
  isConfirmed: boolean,
): Intent {
  const { state, origin, pinned }: IntentBasis = basis ?? {
    state: 'plaintext',
    origin: 'switched-on',
    pinned: false,
  };
  const row = INTENT_TABLE.find(
    (candidate) =>
      (candidate.setting === undefined || candidate.setting === (setting ?? null)) &&
      (candidate.states?.includes(state) ?? true) &&
      (candidate.origin ?? origin) === origin &&
      (candidate.pinned ?? pinned) === pinned &&
      (candidate.confirmed ?? isConfirmed) === isConfirmed,
  );
  return row?.intent ?? { isEncrypting: true, because: 'origin' };
}

/** A seal that cannot be proven for want of keys is served in no case: this only chooses the words. */
const UNPROVEN: IntentBasis = { state: 'encrypted', origin: 'made-encrypted', pinned: false };

/** The intent for what was observed, with the confirmation of the data folder. */
export async function readIntent(
  { kind, seal, witness }: Observation,
  { encrypt, dataDir }: Pick<OpenOptions, 'encrypt' | 'dataDir'>,
  prefix: string,
  ring: KeyRing,
): Promise<Intent> {
  const content = seal?.content;
  const key = content?.keyId == null ? undefined : ring.byId(content.keyId);
  const isConfirmed =
    content?.pinned === true &&
    key !== undefined &&
    (await isDecryptionConfirmed(dataDir, prefix, content, key));
  const unproven = kind === 'plaintext' ? undefined : UNPROVEN;
  return intentOf(encrypt, content ?? witness ?? unproven, isConfirmed);
}
