/** The manifest: written in one order, read beside records in that order; any damage is noticed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { manifestHash, ManifestReader, ManifestWriter } from '../../src/audit/manifest.js';
import { newKey } from '../store-fixture.js';

const DATABASE = 'd';
const key = newKey();
let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vault-manifest-'));
  path = join(folder, 'manifest');
});
afterEach(() => rmSync(folder, { recursive: true }));

const hashOf = (id: string): string => manifestHash(Buffer.from(`{"id":"${id}"}`));

async function write(sections: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const writer = await ManifestWriter.create(path, key, DATABASE);
  for (const [partition, ids] of Object.entries(sections)) {
    for (const id of ids) writer.add(partition, id, { kind: 'r', hash: hashOf(id) });
    // oxlint-disable-next-line no-await-in-loop -- in order
    await writer.flush();
  }
  await writer.finish();
  await writer.place();
}

const open = (partitions = ['a', 'b']): Promise<ManifestReader> =>
  ManifestReader.open(path, key, DATABASE, partitions);

describe('a manifest', () => {
  it('gives entries beside records, and tells what is new and what is gone', async () => {
    await write({ a: ['1', '2', '4'], b: ['1', '9'] });
    const reader = await open();
    const first = await reader.align('a', ['1', '3', '4']);
    expect(first.entries.map((entry) => entry?.hash)).toEqual([
      hashOf('1'),
      undefined,
      hashOf('4'),
    ]);
    expect(first.missing).toEqual(['a 2']);
    const second = await reader.align('b', ['5']);
    expect(second).toEqual({ entries: [undefined], missing: ['b 1'] });
    expect(await reader.rest()).toEqual(['b 9']);
  });

  it('of many blocks, with ids of any bytes, is read whole', async () => {
    const ids = Array.from(
      { length: 20_000 },
      (_, n) => `id-${String(n).padStart(6, '0')}-é\n"\u{1F511}`,
    );
    await write({ a: ids });
    const reader = await open();
    const { entries, missing } = await reader.align('a', ids);
    expect(entries.every((entry, i) => entry?.hash === hashOf(ids[i] ?? ''))).toBe(true);
    expect(missing).toEqual([]);
    expect(await reader.rest()).toEqual([]);
  });

  it('without records is whole too', async () => {
    await write({});
    expect(await (await open()).rest()).toEqual([]);
  });

  it('of another database or key is refused', async () => {
    await write({ a: ['1'] });
    await expect(ManifestReader.open(path, key, 'other', ['a'])).rejects.toThrow(
      'not the manifest',
    );
    await expect(ManifestReader.open(path, newKey(), DATABASE, ['a'])).rejects.toThrow(
      'not the manifest',
    );
    await expect(ManifestReader.open(join(folder, 'none'), key, DATABASE, ['a'])).rejects.toThrow(
      'cannot be opened',
    );
  });

  it('that was cut or changed anywhere is noticed', async () => {
    await write({ a: ['1', '2'] });
    const whole = readFileSync(path);
    const isNoticed = async (bytes: Buffer): Promise<boolean> => {
      writeFileSync(path, bytes, { mode: 0o600 });
      let reader: ManifestReader | undefined;
      try {
        reader = await open();
        await reader.rest();
        return false;
      } catch {
        return true;
      } finally {
        await reader?.close();
      }
    };
    rmSync(path);
    for (let i = 0; i < whole.length; i++) {
      const changed = Buffer.from(whole);
      changed[i] = (whole[i] ?? 0) ^ 1;
      // oxlint-disable no-await-in-loop -- one file
      expect({ i, cut: await isNoticed(whole.subarray(0, i)) }).toEqual({ i, cut: true });
      expect({ i, changed: await isNoticed(changed) }).toEqual({ i, changed: true });
      // oxlint-enable no-await-in-loop
    }
    expect(await isNoticed(whole)).toBe(false);
  });

  it('of several blocks lets none be exchanged, left out or come twice', async () => {
    await write({ a: Array.from({ length: 5000 }, (_, n) => `id-${n}`) });
    const whole = readFileSync(path);
    const blocks: Buffer[] = [];
    const start = whole.indexOf('\n') + 1;
    for (let at = start; at < whole.length; at += 4 + whole.readUInt32BE(at)) {
      blocks.push(whole.subarray(at, at + 4 + whole.readUInt32BE(at)));
    }
    const [a, b, ...rest] = blocks as [Buffer, Buffer, ...Buffer[]];
    expect(rest.length).toBeGreaterThan(0);
    rmSync(path);
    for (const order of [
      [b, a, ...rest],
      [b, ...rest],
      [a, a, b, ...rest],
      [a, b],
      [a, ...rest],
    ]) {
      writeFileSync(path, Buffer.concat([whole.subarray(0, start), ...order]));
      // oxlint-disable no-await-in-loop -- one file
      const reader = await open();
      await expect(reader.rest()).rejects.toThrow('damaged');
      await reader.close();
      // oxlint-enable no-await-in-loop
    }
  });

  it('takes no block of another manifest of the same database and key', async () => {
    const ids = Array.from({ length: 2000 }, (_, n) => `id-${n}`);
    await write({ a: ids });
    const other = readFileSync(path);
    rmSync(path);
    await write({ a: ids });
    const own = readFileSync(path);
    rmSync(path);
    const start = own.indexOf('\n') + 1;
    const end = start + 4 + own.readUInt32BE(start);
    writeFileSync(
      path,
      Buffer.concat([own.subarray(0, start), other.subarray(start, end), own.subarray(end)]),
    );
    const reader = await open();
    await expect(reader.rest()).rejects.toThrow('damaged');
    await reader.close();
  });

  it('shows nobody which record it is of, nor what it hashes to', async () => {
    await write({ a: ['an-id'] });
    const bytes = readFileSync(path);
    expect(bytes.includes('an-id')).toBe(false);
    expect(bytes.includes(Buffer.from(hashOf('an-id'), 'latin1'))).toBe(false);
  });

  it('does not tell trailing padding from none', () => {
    expect(manifestHash(Buffer.from('{"id":"1"}   '))).toBe(hashOf('1'));
  });
});
