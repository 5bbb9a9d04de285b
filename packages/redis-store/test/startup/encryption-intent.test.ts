/** What setting, origin and pin mean together, in every case. */
import { describe, expect, it } from '@jest/globals';
import { DATABASE_STATES } from '../../src/state/database-state.js';
import type { DatabaseOrigin, DatabaseState } from '../../src/state/database-state.js';
import { intentOf } from '../../src/startup/encryption-intent.js';

const ORIGINS = ['made-encrypted', 'switched-on'] as const;
const NEVER_PINNED = [false] as const;

interface Case {
  readonly setting: boolean | undefined;
  readonly state: DatabaseState;
  readonly origin: DatabaseOrigin;
  readonly pinned: boolean;
  readonly confirmed: boolean;
}
const CASES: readonly Case[] = [true, false, undefined].flatMap((setting) =>
  DATABASE_STATES.flatMap((state) =>
    ORIGINS.flatMap((origin) =>
      (state === 'plaintext' ? NEVER_PINNED : [true, false]).flatMap((pinned) =>
        (pinned ? [true, false] : [false]).map((confirmed) => ({
          setting,
          state,
          origin,
          pinned,
          confirmed,
        })),
      ),
    ),
  ),
);

/** The rules in words, written apart from the table. */
function expected({ setting, state, origin, pinned, confirmed }: Case): string {
  if (setting === true) return 'encrypt: setting';
  if (state === 'plaintext') return 'plaintext: setting';
  if (pinned) {
    const isAsked = setting === false && (confirmed || state === 'decrypting');
    return isAsked ? 'plaintext: setting' : 'encrypt: pin';
  }
  if (setting === undefined && origin === 'made-encrypted') return 'encrypt: origin';
  return 'plaintext: setting';
}

describe('the intent of a start', () => {
  it.each(CASES)(
    'setting $setting, $state, $origin, pinned $pinned, confirmed $confirmed',
    (each) => {
      const { isEncrypting, because } = intentOf(each.setting, each, each.confirmed);
      expect(`${isEncrypting ? 'encrypt' : 'plaintext'}: ${because}`).toBe(expected(each));
    },
  );

  it.each([
    [true, true],
    [false, false],
    [undefined, false],
  ])('of a setting %s where there is no database: %s', (setting, isEncrypting) => {
    expect(intentOf(setting, undefined, false)).toEqual({ isEncrypting, because: 'setting' });
  });
});
