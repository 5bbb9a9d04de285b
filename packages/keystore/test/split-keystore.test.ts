import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf, VaultKey } from '@vault/crypto';
import type { CustodyReport, KeyId } from '@vault/crypto';
import { createHalfSource } from '../src/create-half-source.js';
import { SplitKeystore } from '../src/split-keystore.js';
import { makePlace } from './source-environment.js';
import type { TestPlace } from './source-environment.js';

const STRANGER = '0123456789abcdef' as KeyId;

function keyOf(hexA: string, hexB: string): VaultKey {
  return VaultKey.derive(KeyHalf.fromHex(hexA), KeyHalf.fromHex(hexB));
}
const A1 = 'a1'.repeat(32);
const A2 = 'a2'.repeat(32);
const B1 = 'b1'.repeat(32);
const B2 = 'b2'.repeat(32);

describe('two writable halves', () => {
  let at: TestPlace;
  let pathA: string;
  let pathB: string;
  let keystore: SplitKeystore;
  beforeEach(() => {
    at = makePlace();
    pathA = `${at.environment.dataDir}/half-a`;
    pathB = `${at.environment.dataDir}/half-b`;
    keystore = new SplitKeystore({
      halfA: createHalfSource({ source: 'file', path: pathA }, at.environment),
      halfB: createHalfSource({ source: 'file', path: pathB }, at.environment),
    });
  });
  afterEach(() => at.folder.stop());

  function plant(path: string, ...lines: readonly string[]): void {
    rmSync(path, { force: true });
    writeFileSync(path, lines.join('\n'), { mode: 0o400 });
  }
  function linesOf(path: string): readonly string[] {
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  }

  test('hold nothing at first; a new pair is appended to both and read back', async () => {
    expect(await keystore.load()).toMatchObject({ state: 'none', ring: { ids: [] } });
    expect(await keystore.appendRefusal()).toBeUndefined();
    const key = await keystore.append();
    const report = await keystore.load();
    expect(report).toMatchObject({ state: 'paired', ring: { ids: [key.id] }, diagnosis: [] });
    expect(report.halves.map(({ keyIds }) => keyIds)).toEqual([[key.id], [key.id]]);
    expect(report.ring.byId(key.id)?.mac('seal', 'x')).toEqual(key.mac('seal', 'x'));
    expect(report.ring.byId(STRANGER)).toBeUndefined();
  });

  test('keep every earlier key, oldest first', async () => {
    const ids = [await keystore.append(), await keystore.append(), await keystore.append()].map(
      ({ id }) => id,
    );
    expect((await keystore.load()).ring.ids).toEqual(ids);
  });

  test('append one pair at a time when asked for several at once', async () => {
    const keys = await Promise.all([keystore.append(), keystore.append(), keystore.append()]);
    expect((await keystore.load()).ring.ids).toEqual(keys.map(({ id }) => id));
  });

  test('lose the lines of one key, and the value with the last', async () => {
    const first = await keystore.append();
    const second = await keystore.append();
    await keystore.remove(STRANGER);
    await keystore.remove(first.id);
    expect((await keystore.load()).ring.ids).toEqual([second.id]);
    expect(linesOf(pathA)).toHaveLength(1);
    await keystore.remove(second.id);
    expect(await keystore.load()).toMatchObject({ state: 'none' });
    expect(readdirSync(at.environment.dataDir)).toEqual([]);
    await keystore.remove(second.id);
  });

  test('written bare, as Xen Orchestra does, are another system’s: not used, not changed, not removed', async () => {
    plant(pathA, A1);
    plant(pathB, B1);
    const { id } = keyOf(A1, B1);
    const report = await keystore.load();
    expect(report).toMatchObject({
      state: 'unpaired',
      ring: { ids: [] },
      unlabelled: { ids: [id] },
      halves: [{ status: 'foreign' }, { status: 'foreign' }],
    });
    expect(report.diagnosis).toEqual([
      expect.stringMatching(
        /^Half A \(file .*half-a\) has a half without a key id .* it is foreign/,
      ),
      expect.stringMatching(
        /^Half B \(file .*half-b\) has a half without a key id .* it is foreign/,
      ),
    ]);
    expect(await keystore.appendRefusal()).toMatch(
      /^half A \(file .*half-a\) holds a half without a key id.*place of its own/,
    );
    await expect(keystore.append()).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    await keystore.remove(id);
    expect([linesOf(pathA), linesOf(pathB)]).toEqual([[A1], [B1]]);
  });

  test('written bare are a pair once the state of the database names their key; that key too can be removed', async () => {
    plant(pathA, A1);
    plant(pathB, B1);
    const { id } = keyOf(A1, B1);
    keystore.admit([id]);
    expect(await keystore.load()).toMatchObject({
      state: 'paired',
      ring: { ids: [id] },
      unlabelled: { ids: [] },
      halves: [{ status: 'found' }, { status: 'found' }],
      diagnosis: [],
    });
    const added = await keystore.append();
    expect((await keystore.load()).ring.ids).toEqual([id, added.id]);
    await keystore.remove(id);
    expect((await keystore.load()).ring.ids).toEqual([added.id]);
    expect(linesOf(pathB)).toHaveLength(1);
  });

  test('put back without its label: ours once the state names the key that it gives, and the line beside it never', async () => {
    const { id } = keyOf(A1, B1);
    plant(pathA, A2, A1);
    plant(pathB, `${id}:${B1}`);
    expect(await keystore.load()).toMatchObject({
      state: 'unpaired',
      ring: { ids: [] },
      unlabelled: { ids: [id] },
    });
    keystore.admit([id]);
    expect(await keystore.load()).toMatchObject({ state: 'paired', ring: { ids: [id] } });
    const added = await keystore.append();
    await keystore.remove(id);
    expect(linesOf(pathA)).toEqual([A2, expect.stringMatching(`^${added.id}:`)]);
    await keystore.remove(added.id);
    expect(linesOf(pathA)).toEqual([A2]);
  });

  test('bare, and needed by another key of ours: the half stays until that key goes, too', async () => {
    const [one, two] = [keyOf(A1, B1).id, keyOf(A1, B2).id];
    plant(pathA, A1);
    plant(pathB, B1, B2);
    keystore.admit([one, two]);
    await keystore.remove(one);
    expect([linesOf(pathA), linesOf(pathB)]).toEqual([[A1], [B2]]);
    await keystore.remove(two);
    expect(await keystore.load()).toMatchObject({ state: 'none' });
  });

  test('with a foreign half beside the lines of ours: ours work, it stays where it is', async () => {
    const key = await keystore.append();
    const [line = ''] = linesOf(pathA);
    plant(pathA, A2, line);
    expect(await keystore.load()).toMatchObject({
      state: 'paired',
      ring: { ids: [key.id] },
      halves: [{ status: 'found' }, { status: 'found' }],
      diagnosis: [expect.stringContaining('it is foreign, and is left as it is')],
    });
    const second = await keystore.append();
    await keystore.remove(key.id);
    await keystore.remove(second.id);
    expect(linesOf(pathA)).toEqual([A2]);
    expect(existsSync(pathB)).toBe(false);
    await expect(keystore.append()).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    expect(existsSync(pathB)).toBe(false);
  });

  test('one label, and halves that do not give it: they do not belong together', async () => {
    plant(pathA, `${STRANGER}:${A1}`);
    plant(pathB, `${STRANGER}:${B1}`);
    const report = await keystore.load();
    expect(report).toMatchObject({ state: 'unpaired', ring: { ids: [] } });
    expect(report.diagnosis).toEqual([
      `The halves of key ${STRANGER} do not belong together: at least one of them was altered.`,
    ]);
  });

  test('of two different keys are unpaired, and each is named with what would fit', async () => {
    const one = keyOf(A1, B1).id;
    const other = keyOf(A2, B2).id;
    plant(pathA, `${one}:${A1}`);
    plant(pathB, `${other}:${B2}`);
    const report = await keystore.load();
    expect(report.state).toBe('unpaired');
    expect(report.diagnosis).toEqual([
      `Half A (file ${pathA}) has a line of key ${one}; half B (file ${pathB}) has nothing that fits it (it is of key ${other}).`,
      `Half B (file ${pathB}) has a line of key ${other}; half A (file ${pathA}) has nothing that fits it (it is of key ${one}).`,
    ]);
  });

  test('bare and of two different keys: named by fingerprint, never by value', async () => {
    plant(pathA, A2);
    plant(pathB, `${keyOf(A1, B1).id}:${B1}`);
    const report = await keystore.load();
    expect(report.state).toBe('unpaired');
    expect(report.diagnosis[0]).toContain(KeyHalf.fromHex(A2).fingerprint());
    expect(report.diagnosis[0]).toContain(keyOf(A1, B1).id);
    expect(JSON.stringify(report)).not.toContain('a2a2');
  });

  test('one missing: says of which key the half is that would fit', async () => {
    const key = await keystore.append();
    rmSync(pathA);
    const report = await keystore.load();
    expect(report.state).toBe('one');
    expect(report.diagnosis).toEqual([
      `Half A (file ${pathA}) is missing; a half of key ${key.id} would fit.`,
    ]);
  });

  test('a missing half does not keep a new pair from being appended: what is there stays', async () => {
    const lost = await keystore.append();
    rmSync(pathA);
    const key = await keystore.append();
    expect((await keystore.load()).ring.ids).toEqual([key.id]);
    expect(linesOf(pathB)[0]).toContain(lost.id);
  });

  test('one corrupt: unpaired; with whole lines left in it: paired, and the flaw is told', async () => {
    const key = await keystore.append();
    const [line] = linesOf(pathA);
    plant(pathA, 'garbage');
    expect(await keystore.load()).toMatchObject({
      state: 'unpaired',
      halves: [{ status: 'corrupt' }, { status: 'found' }],
    });
    plant(pathA, line ?? '', 'garbage');
    const report = await keystore.load();
    expect(report).toMatchObject({ state: 'paired', ring: { ids: [key.id] } });
    expect(report.diagnosis[0]).toContain('is corrupt: line 2');
  });

  test('one unreadable: nothing is known, nothing is appended, nothing is removed', async () => {
    const key = await keystore.append();
    chmodSync(pathB, 0o444);
    expect(await keystore.load()).toMatchObject({
      state: 'unreadable',
      halves: [{ status: 'found' }, { status: 'unreadable' }],
    });
    expect(await keystore.appendRefusal()).toContain('half B');
    await expect(keystore.append()).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    await expect(keystore.remove(key.id)).rejects.toMatchObject({ code: 'HALF_UNREADABLE' });
    expect(linesOf(pathA)).toHaveLength(1);
  });

  test('at one place are no split', () => {
    const half = createHalfSource({ source: 'file', path: pathA }, at.environment);
    expect(() => new SplitKeystore({ halfA: half, halfB: half })).toThrow('one place');
  });

  test('a new pair that reads back as something else is an error; the lines stay', async () => {
    const halfA = createHalfSource({ source: 'file', path: pathA }, at.environment);
    const write = ['sh', '-c', `cat > /dev/null; printf %s '${STRANGER}:${B1}' > '${pathB}.x'`];
    const read = ['sh', '-c', `cat '${pathB}.x' 2>/dev/null || exit 44`];
    const forgetful = createHalfSource(
      { source: 'command', read, write, missingExitStatus: 44 },
      at.environment,
    );
    const broken = new SplitKeystore({ halfA, halfB: forgetful });
    await expect(broken.append()).rejects.toMatchObject({ code: 'HALF_READ_BACK_FAILED' });
    expect(linesOf(pathA)).toHaveLength(1);
  });
});

describe('the pair of a recovery kit', () => {
  let at: TestPlace;
  let pathA: string;
  let pathB: string;
  let keystore: SplitKeystore;
  beforeEach(() => {
    at = makePlace();
    pathA = at.folder.join('half-a');
    pathB = at.folder.join('half-b');
    keystore = new SplitKeystore({
      halfA: createHalfSource({ source: 'file', path: pathA }, at.environment),
      halfB: createHalfSource({ source: 'file', path: pathB }, at.environment),
    });
  });
  afterEach(() => at.folder.stop());

  test('is exported, and put back after a loss; what was there meanwhile stays', async () => {
    const key = await keystore.append();
    const pair = await keystore.exportPair(key.id);
    expect(await keystore.exportPair(STRANGER)).toBeUndefined();
    rmSync(pathA);
    const later = await keystore.append();
    if (pair === undefined) throw new Error('the key is there');
    await keystore.restorePair(pair);
    const { ring, state } = await keystore.load();
    expect(state).toBe('paired');
    expect(new Set(ring.ids)).toEqual(new Set([key.id, later.id]));
  });

  test('is not put back into the place of a foreign half', async () => {
    const key = await keystore.append();
    const pair = await keystore.exportPair(key.id);
    if (pair === undefined) throw new Error('the key is there');
    rmSync(pathB);
    writeFileSync(pathB, B2, { mode: 0o400 });
    await expect(keystore.restorePair(pair)).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    expect(readFileSync(pathB, 'utf8')).toBe(B2);
    // Its own half without the label is no foreign one.
    rmSync(pathB);
    writeFileSync(pathB, pair.halfB.unsafeHex(), { mode: 0o400 });
    await keystore.restorePair(pair);
    expect((await keystore.load()).ring.ids).toEqual([key.id]);
  });

  test('is put back without its corrupt half being lost', async () => {
    const key = await keystore.append();
    const pair = await keystore.exportPair(key.id);
    if (pair === undefined) throw new Error('the key is there');
    rmSync(pathB);
    writeFileSync(pathB, 'garbage', { mode: 0o400 });
    await keystore.restorePair(pair);
    expect((await keystore.load()).ring.ids).toEqual([key.id]);
    expect(readFileSync(`${pathB}.corrupt-1`, 'utf8')).toBe('garbage');
  });

  test('that is whole already changes nothing', async () => {
    const key = await keystore.append();
    const pair = await keystore.exportPair(key.id);
    if (pair === undefined) throw new Error('the key is there');
    const before = [readFileSync(pathA, 'utf8'), readFileSync(pathB, 'utf8')];
    await keystore.restorePair(pair);
    expect([readFileSync(pathA, 'utf8'), readFileSync(pathB, 'utf8')]).toEqual(before);
  });

  test('that does not give its key id is refused', async () => {
    const halfA = KeyHalf.fromHex(A1);
    const halfB = KeyHalf.fromHex(B1);
    const restore = keystore.restorePair({ keyId: STRANGER, halfA, halfB });
    await expect(restore).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    expect(await keystore.load()).toMatchObject({ state: 'none' });
  });

  test('is refused before anything is written when a half cannot be written', async () => {
    const variables = { VAULT_MASTER_KEY: Buffer.from(A2, 'hex').toString('base64') };
    const withEnvironment = new SplitKeystore({
      halfA: createHalfSource({ source: 'file', path: pathA }, at.environment),
      halfB: createHalfSource({ source: 'env' }, { ...at.environment, variables }),
    });
    const halfA = KeyHalf.fromHex(A1);
    const wrong = KeyHalf.fromHex(B1);
    const refused = withEnvironment.restorePair({ keyId: keyOf(A1, B1).id, halfA, halfB: wrong });
    await expect(refused).rejects.toThrow('half B (env VAULT_MASTER_KEY) has another secret');
    expect(existsSync(pathA)).toBe(false);
    const right = KeyHalf.fromHex(A2);
    await withEnvironment.restorePair({ keyId: keyOf(A1, A2).id, halfA, halfB: right });
    expect((await withEnvironment.load()).ring.ids).toEqual([keyOf(A1, A2).id]);
  });
});

describe('a half that cannot be written', () => {
  let at: TestPlace;
  let path: string;
  beforeEach(() => {
    at = makePlace();
    path = `${at.environment.dataDir}/vault-encryption-key`;
  });
  afterEach(() => at.folder.stop());

  function keystoreWith(
    configA: Record<string, unknown>,
    variables: Record<string, string> = {},
    configB: Record<string, unknown> = { source: 'file' },
  ): SplitKeystore {
    const environment = { ...at.environment, variables };
    return new SplitKeystore({
      halfA: createHalfSource(configA, environment),
      halfB: createHalfSource(configB, environment),
    });
  }
  const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');

  test('has one secret that pairs with every line of the other', async () => {
    const keystore = keystoreWith({ source: 'env' }, { VAULT_MASTER_KEY: base64(A1) });
    expect((await keystore.load()).state).toBe('one');
    const first = await keystore.append();
    const second = await keystore.append();
    expect((await keystore.load()).ring.ids).toEqual([first.id, second.id]);
    const [line] = readFileSync(path, 'utf8').split('\n');
    expect(first.id).toBe(keyOf(A1, line?.split(':')[1] ?? '').id);
    await keystore.remove(first.id);
    expect((await keystore.load()).ring.ids).toEqual([second.id]);
  });

  test('changed by the operator: earlier secrets open the earlier lines, the newest makes new ones', async () => {
    const old = await keystoreWith({ source: 'env' }, { VAULT_MASTER_KEY: base64(A1) }).append();
    const changed = keystoreWith({ source: 'env' }, { VAULT_MASTER_KEY: base64(A2) });
    expect(await changed.load()).toMatchObject({ state: 'unpaired' });
    const both = keystoreWith(
      { source: 'env' },
      { VAULT_MASTER_KEY: base64(A2), VAULT_MASTER_KEY_PREVIOUS: base64(A1) },
    );
    const added = await both.append();
    const report = await both.load();
    expect(report.ring.ids).toEqual([old.id, added.id]);
    expect(report.diagnosis).toEqual([]);
    expect(report.supersededIds).toEqual([old.id]);
    expect(report.suppliedId).toBeUndefined();
    expect(await changed.load()).toMatchObject({ ring: { ids: [added.id] }, supersededIds: [] });
  });

  test('both changed or one of them: the key of the newest secrets is the one that was supplied', async () => {
    const other = { source: 'env', variable: 'OTHER' };
    const variables = {
      VAULT_MASTER_KEY: base64(A2),
      VAULT_MASTER_KEY_PREVIOUS: base64(A1),
      OTHER: base64(B1),
    };
    const [old, supplied] = [keyOf(A1, B1).id, keyOf(A2, B1).id];
    expect(await keystoreWith({ source: 'env' }, variables, other).load()).toMatchObject({
      ring: { ids: [old, supplied] },
      supersededIds: [old],
      suppliedId: supplied,
    });
  });

  test('with a raw half beside it that nobody knows: that is foreign, and no pair', async () => {
    const raw = Buffer.from('b7'.repeat(32), 'hex');
    writeFileSync(path, raw, { mode: 0o400 });
    const keystore = keystoreWith({ source: 'env' }, { VAULT_MASTER_KEY: base64(A1) });
    expect(await keystore.load()).toMatchObject({
      state: 'unpaired',
      ring: { ids: [] },
      halves: [{ status: 'found' }, { status: 'foreign' }],
    });
    await expect(keystore.append()).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    await keystore.remove(keyOf(A1, 'b7'.repeat(32)).id);
    expect(readFileSync(path)).toEqual(raw);
  });

  test('not set: a pair cannot be appended, and the refusal says so', async () => {
    const keystore = keystoreWith({ source: 'env' });
    expect(await keystore.appendRefusal()).toBe(
      'half A (env VAULT_MASTER_KEY) is missing, and the server cannot make it',
    );
    await expect(keystore.append()).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    expect(existsSync(path)).toBe(false);
  });

  test('derived from the machine: its salt is made with the first pair, not by loading', async () => {
    const keystore = keystoreWith({ source: 'machine', parts: ['user'], iterations: 100_000 });
    expect(await keystore.load()).toMatchObject({ state: 'none' });
    expect(await keystore.appendRefusal()).toBeUndefined();
    expect(existsSync(at.folder.join('vault-machine-salt'))).toBe(false);
    const key = await keystore.append();
    expect(await keystore.load()).toMatchObject({ state: 'paired', ring: { ids: [key.id] } });
  });

  test('with another one like it: no rotation by the server, with the reason', async () => {
    const keystore = keystoreWith(
      { source: 'env' },
      { VAULT_MASTER_KEY: base64(A1), OTHER: base64(B1) },
      { source: 'env', variable: 'OTHER' },
    );
    expect(await keystore.load()).toMatchObject({
      state: 'paired',
      ring: { ids: [keyOf(A1, B1).id] },
    });
    expect(await keystore.appendRefusal()).toMatch(/^neither half can be written by the server: /);
    await expect(keystore.append()).rejects.toMatchObject({ code: 'APPEND_REFUSED' });
    await keystore.remove(keyOf(A1, B1).id); // nothing that the server could remove
  });

  test('with another one like it, but still without its salt: that is made, and is the pair', async () => {
    const machine = { source: 'machine', parts: ['user'], iterations: 100_000 };
    const keystore = keystoreWith({ source: 'env' }, { VAULT_MASTER_KEY: base64(A1) }, machine);
    const key = await keystore.append();
    expect((await keystore.load()).ring.ids).toEqual([key.id]);
    expect(await keystore.appendRefusal()).toContain('neither half can be written');
  });

  test('whose lines are all labelled has no secret for a new key', async () => {
    writeFileSync(at.folder.join('half'), `${keyOf(A1, B1).id}:${A1}`);
    writeFileSync(path, `${keyOf(A1, B1).id}:${B1}`, { mode: 0o400 });
    const variables = { CREDENTIALS_DIRECTORY: at.folder.path };
    const keystore = keystoreWith({ source: 'systemd', credential: 'half' }, variables);
    expect((await keystore.load()).state).toBe('paired');
    expect(await keystore.appendRefusal()).toContain('belongs to one key already');
  });
});

describe('sharing between machines', () => {
  test('is asked only of the halves that are written', async () => {
    const { environment, folder } = makePlace({ VAULT_MASTER_KEY: 'x' });
    const file = (shared: boolean): object => ({ source: 'file', shared });
    const isShared = (configA: unknown, configB: unknown): boolean =>
      new SplitKeystore({
        halfA: createHalfSource(configA, environment),
        halfB: createHalfSource(configB, environment),
      }).isShared;
    expect(isShared({ source: 'env' }, file(true))).toBe(true);
    expect(isShared({ source: 'env' }, file(false))).toBe(false);
    expect(isShared({ source: 'xenstore' }, file(true))).toBe(false);
    const command = { source: 'command', read: ['r'], write: ['w'] };
    expect(isShared(command, file(true))).toBe(true);
    expect(isShared({ ...command, shared: false }, file(true))).toBe(false);
    await folder.stop();
  });
});

/** The report prints no key: what an operator sees is what a test may grep. */
test('a report prints no half and no key', async () => {
  const { environment, folder } = makePlace();
  const keystore = new SplitKeystore({
    halfA: createHalfSource({ source: 'file', path: folder.join('a') }, environment),
    halfB: createHalfSource({ source: 'file', path: folder.join('b') }, environment),
  });
  await keystore.append();
  const report: CustodyReport = await keystore.load();
  const stored = readFileSync(folder.join('a'), 'utf8').trim().split(':')[1] ?? 'none';
  const { inspect } = await import('node:util');
  expect(inspect(report, { depth: 9, showHidden: true })).not.toContain(stored);
  expect(JSON.stringify(report)).not.toContain(stored);
  await folder.stop();
});
