/** The recovery kit as a file, and the note of when it was proven. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { KeyHalf, VaultKey } from '@vault/crypto';
import type { HalfPair } from '@vault/keystore';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { KIT_STATE_FILE, kitNote, writeKitState } from '../../src/recovery/kit-state.js';
import { readKit, writeKit } from '../../src/recovery/recovery-kit.js';
import type { RecoveryKit } from '../../src/recovery/recovery-kit.js';

const PASSPHRASE = 'correct horse battery';
const FACTS = {
  createdAt: '2026-11-22T07:30:00.000Z',
  databaseId: '54bf9161-f25e-4dd5-bbd0-3f42dcc3fbde',
  prefix: 'vault',
  halfA: { source: 'xenstore', place: 'vm-data/vault-encryption-key' },
  halfB: { source: 'file', place: '/var/lib/vault-server/data/vault-encryption-key' },
};

function newPair(): HalfPair & { readonly key: VaultKey } {
  const [halfA, halfB] = [KeyHalf.generate(), KeyHalf.generate()];
  const key = VaultKey.derive(halfA, halfB);
  return { keyId: key.id, halfA, halfB, key };
}
const kitOf = (pair: HalfPair): Promise<Buffer> =>
  buffer(writeKit(pair, FACTS, { passphrase: PASSPHRASE }));
const read = (bytes: Buffer, passphrase?: string): Promise<RecoveryKit> =>
  readKit(
    (async function* () {
      yield await Promise.resolve(bytes);
    })(),
    passphrase,
  );

describe('a recovery kit', () => {
  it('gives both halves and their places back', async () => {
    const pair = newPair();
    const { pair: found, ...facts } = await read(await kitOf(pair), PASSPHRASE);
    expect(facts).toEqual(FACTS);
    expect(found.keyId).toBe(pair.keyId);
    expect([found.halfA.equals(pair.halfA), found.halfB.equals(pair.halfB)]).toEqual([true, true]);
  });

  it.each<[string, (bytes: Buffer) => Buffer, string]>([
    ['another passphrase', (bytes) => bytes, 'wrong horse battery'],
    ['a cut file', (bytes) => bytes.subarray(0, -1), PASSPHRASE],
    [
      'an altered byte',
      (bytes) => Buffer.concat([bytes.subarray(0, -40), Buffer.of(1), bytes.subarray(-39)]),
      PASSPHRASE,
    ],
    ['an empty file', () => Buffer.alloc(0), PASSPHRASE],
  ])('shows one face with %s', async (_, change, passphrase) => {
    const bytes = await kitOf(newPair());
    await expect(read(change(bytes), passphrase)).rejects.toThrow(
      'cannot be read: wrong passphrase',
    );
  });

  it.each<[string, (kit: Record<string, unknown>) => unknown, string]>([
    ['another format', (kit) => ({ ...kit, format: 'vault-config-backup' }), 'not a whole'],
    ['a newer version', (kit) => ({ ...kit, version: 2 }), 'another version'],
    [
      'halves that are swapped',
      (kit) => ({ ...kit, halfA: kit['halfB'], halfB: kit['halfA'] }),
      'do not give its key',
    ],
    [
      'a half that is short',
      (kit) => ({ ...kit, halfA: { source: 'a', place: 'b', line: `${String(kit['keyId'])}:12` } }),
      'not a whole',
    ],
    ['no half', (kit) => ({ ...kit, halfB: undefined }), 'not a whole'],
    ['an array', (kit) => [kit], 'not a whole'],
  ])('is refused with %s', async (_, change, message) => {
    const { pair: _pair, ...facts } = await read(await kitOf(newPair()), PASSPHRASE);
    const { keyId, halfA, halfB } = newPair();
    const content = change({
      format: 'vault-recovery-kit',
      version: 1,
      ...facts,
      keyId,
      halfA: { ...FACTS.halfA, line: `${keyId}:${halfA.unsafeHex()}` },
      halfB: { ...FACTS.halfB, line: `${keyId}:${halfB.unsafeHex()}` },
    });
    const failure: unknown = await read(Buffer.from(JSON.stringify(content))).catch(
      (error: unknown) => error,
    );
    expect(String(failure)).toContain(message);
    expect(String(failure)).not.toMatch(/[0-9a-f]{32}/);
  });
});

describe('the note of a recovery kit', () => {
  const resources = new Resources();
  afterEach(() => resources.stop());
  const at = '2026-11-22T07:30:00.000Z';

  it('is believed only under the active key, and only as it was written', async () => {
    const folder = resources.use(new TemporaryFolder('vault-kit'));
    const { key } = newPair();
    const other = newPair().key;
    const state = { keyId: key.id, createdAt: at, provenAt: at, protection: 'passphrase' } as const;
    const ring = { ids: [key.id, other.id], byId: (id: string) => (id === key.id ? key : other) };
    const note = (activeKeyId: string | null): Promise<unknown> =>
      kitNote(folder.path, activeKeyId, ring);

    expect(await note(key.id)).toEqual({ recoveryKit: null });
    await writeKitState(folder.path, state, key);
    expect(await note(key.id)).toEqual({ recoveryKit: state });
    expect(await note(other.id)).toEqual({ recoveryKit: null });
    expect(await note(null)).toEqual({ recoveryKit: null });

    const path = folder.join(KIT_STATE_FILE);
    const text = readFileSync(path, 'utf8');
    for (const forged of [
      text.replaceAll('2026', '2027'),
      text.replace(key.id, other.id),
      'x',
      '',
    ]) {
      writeFileSync(path, forged);
      // oxlint-disable-next-line no-await-in-loop -- one file
      expect(await note(key.id)).toEqual({ recoveryKit: null });
    }
  });
});
