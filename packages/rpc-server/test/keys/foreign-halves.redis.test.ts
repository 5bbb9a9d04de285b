/** Halves without a key id: those of another system are never touched, those that were put back are found again. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf, VaultKey } from '@vault/crypto';
import { acceptDatabase } from '@vault/redis-store';
import { contents, fill, KeysFixture } from './keys-fixture.js';

const THEIR_A = '1f'.repeat(32);
const THEIR_B = Buffer.from('2e'.repeat(32), 'hex');
const THEIR_KEY = VaultKey.derive(KeyHalf.fromHex(THEIR_A), KeyHalf.fromBytes(THEIR_B)).id;

let at: KeysFixture;
beforeEach(async () => {
  at = await KeysFixture.start();
});
afterEach(() => at.stop());

const bare = (line: string | undefined): string => (line ?? '').split(':')[1] ?? '';

/** Takes the labels away, as somebody does who puts halves back by hand: one as text, one raw. */
function unlabel(): void {
  at.plant('A', `${bare(at.lines('A').at(-1))}\n`);
  at.plant('B', Buffer.from(bare(at.lines('B').at(-1)), 'hex'));
}

describe('halves of another system', () => {
  test.each<[string, string | undefined, Uint8Array | undefined]>([
    ['both', THEIR_A, THEIR_B],
    ['half A only', THEIR_A, undefined],
    ['half B only', undefined, THEIR_B],
  ])('%s: nothing is encrypted with them, nothing is written beside them', async (_what, a, b) => {
    if (a !== undefined) at.plant('A', a);
    if (b !== undefined) at.plant('B', b);
    const before = at.halfFiles();
    const { reason, details } = await at.openDegraded();
    expect(reason).toBe('encryptionFailed');
    expect(details.cause).toMatch(/^another system's key stands in half [AB] \(file .*half-[ab]\)/);
    expect(details.cause?.includes('half-a')).toBe(a !== undefined);
    expect(details.cause?.includes('half-b')).toBe(b !== undefined);
    expect(details.advice).toContain('places of their own in [keystore]');
    expect(details.foundKeyIds).toEqual([]);
    expect(at.halfFiles()).toEqual(before);
    // No seal either: it was refused before anything began.
    expect(await at.stored()).toEqual([]);
  });

  test('with encryption off: served in plaintext, and they stay through rotation and deletion', async () => {
    at.plant('A', THEIR_A);
    at.plant('B', THEIR_B);
    const before = at.halfFiles();
    await at.using({ encrypt: false }, async (database) => {
      await fill(database, 2);
      await expect(database.rotateKey()).rejects.toMatchObject({ code: 'OPERATION_REFUSED' });
      expect((await database.deleteInactiveKeys()).deletedKeys).toEqual([]);
      expect((await database.status()).halves).toMatchObject({
        keyIds: [],
        halves: [{ status: 'foreign' }, { status: 'foreign' }],
      });
    });
    expect((await at.openDegraded()).reason).toBe('encryptionFailed');
    await at.using({ encrypt: false }, contents);
    expect(at.halfFiles()).toEqual(before);
  });

  test('beside a secret that the server does not write: no pair with it', async () => {
    at.halfA = { source: 'env' };
    at.variables = { VAULT_MASTER_KEY: Buffer.from('3d'.repeat(32), 'hex').toString('base64') };
    at.plant('B', THEIR_B);
    const before = at.halfFiles();
    expect((await at.openDegraded()).details.cause).toMatch(/half B \(file .*half-b\)/);
    await at.using({ encrypt: false }, (database) => fill(database, 1));
    expect(at.halfFiles()).toEqual(before);
  });

  test('as lines beside ours: ours work, theirs stay through encryption, rotation, deletion and decryption', async () => {
    const records = await at.using({}, async (database) => {
      await fill(database, 3);
      return contents(database);
    });
    at.plant('A', `${THEIR_A}\n${at.lines('A').join('\n')}\n`);
    await at.using({}, async (database) => {
      const { previousKeyId } = await database.rotateKey();
      expect((await database.deleteInactiveKeys()).deletedKeys).toEqual([previousKeyId]);
      expect(await contents(database)).toEqual(records);
      expect((await database.status()).halves.diagnosis).toEqual([
        expect.stringMatching(/^Half A .* it is foreign, and is left as it is\.$/),
      ]);
    });
    expect(at.lines('A')).toEqual([THEIR_A, expect.stringMatching(/^[0-9a-f]{16}:/)]);
    await at.using({ encrypt: false }, async (database) => {
      expect(await contents(database)).toEqual(records);
    });
    expect(at.halfFiles()).toEqual([['half-a', Buffer.from(`${THEIR_A}\n`).toString('hex')]]);
  });

  test('named by a plaintext seal, which anybody can write: they stay all the same', async () => {
    await at.using({ encrypt: false }, (database) => fill(database, 1));
    const name = 'vault:{meta}:seal';
    const [json = ''] = ((await at.client.get(name)) ?? '').split('\n');
    const retired = { keyIds: [THEIR_KEY], files: [], epoch: 1, mac: 'AAAA' };
    const seal = JSON.parse(json) as Record<string, unknown>;
    const forged = { ...seal, inactiveKeyIds: [THEIR_KEY], retired };
    await at.client.set(name, `${JSON.stringify(forged)}\n-`);
    at.plant('A', THEIR_A);
    at.plant('B', THEIR_B);
    const before = at.halfFiles();
    await at.using({ encrypt: false }, async (database) => {
      expect(await database.deleteInactiveKeys().catch(() => [])).toEqual([]);
    });
    expect((await at.openDegraded()).reason).toBe('encryptionFailed');
    expect(at.halfFiles()).toEqual(before);
  });

  test('in the place of a half that is lost: degraded, named as foreign, and left', async () => {
    const { activeKeyId } = await at.using({}, (database) => database.status());
    at.plant('A', THEIR_A);
    const before = at.halfFiles();
    const { reason, details } = await at.openDegraded();
    expect(reason).toBe('decryptionFailed');
    expect(details.neededKeyId).toBe(activeKeyId);
    expect(details.diagnosis?.[0]).toMatch(
      new RegExp(`^Half A .* it is foreign, .*; a half of key ${activeKeyId} would fit half B`),
    );
    expect((await at.openDegraded({ encrypt: false })).reason).toBe('keyLoadingFailed');
    expect(at.halfFiles()).toEqual(before);
  });
});

describe('halves of ours that were put back without their labels', () => {
  let records: unknown;
  let keyId: string | null;
  beforeEach(async () => {
    await at.using({}, async (database) => {
      await fill(database, 3);
      records = await contents(database);
      keyId = (await database.status()).activeKeyId;
    });
    unlabel();
  });

  test.each<[string, () => Promise<void>]>([
    ['seal and witness', () => Promise.resolve()],
    ['the seal alone', () => Promise.resolve(at.forgetWitness())],
    [
      'the witness alone',
      async () => {
        await at.client.del('vault:{meta}:seal');
      },
    ],
  ])(
    'open the database, whose key %s names; they are replaced and removed as others',
    async (_what, lose) => {
      await lose();
      await at.using({}, async (database) => {
        expect(await contents(database)).toEqual(records);
        expect((await database.status()).halves).toMatchObject({
          state: 'paired',
          keyIds: [keyId],
          halves: [{ status: 'found' }, { status: 'found' }],
          diagnosis: [],
        });
        const { activeKeyId } = await database.rotateKey();
        expect((await database.deleteInactiveKeys()).deletedKeys).toEqual([keyId]);
        expect(at.lines('A')).toEqual([expect.stringMatching(`^${activeKeyId}:`)]);
        expect(at.lines('B')).toEqual([expect.stringMatching(`^${activeKeyId}:`)]);
      });
    },
  );

  test('decrypt it, and go after', async () => {
    await at.using({ encrypt: false }, async (database) => {
      expect(await contents(database)).toEqual(records);
    });
    expect(at.halfFiles()).toEqual([]);
  });

  test('let the operator accept a database whose witness is of another', async () => {
    at.forgetWitness();
    const report = await acceptDatabase(at.options());
    expect(report).toMatchObject({ basis: 'seal', keyId });
  });
});
