/** What every half source promises, run against each of them: 15 lines of set-up a source. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import type { KeyId } from '@vault/crypto';
import type { HalfReading, HalfSource } from '../src/half-source.js';
import { destroyReading, linesOf } from '../src/half-source.js';

/** One source at one place, and the means to reach that place behind its back. */
export interface SourceUnderTest {
  readonly source: HalfSource;
  /** Puts one bare half there. @returns the half that reading should give (not the same, where it is derived) */
  plantHalf(half: KeyHalf): Promise<KeyHalf>;
  /** Puts something there that is no half. */
  plantGarbage(garbage: string): Promise<void>;
  /** Everything that is stored there now, in a form that can be compared; `undefined`: nothing. */
  stored(): Promise<string | undefined>;
  /** Makes the source impossible to ask. Absent where it always can be. */
  cutOff?(): Promise<void>;
  /** Corrupt values that were copied aside. Absent where that cannot be done. */
  copies?(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** What a source is able to do. */
export interface SourceKind {
  readonly isWritable: boolean;
  /** Default: true. */
  readonly canBeCutOff?: boolean;
  /** Default: true. */
  readonly canCopyAside?: boolean;
}

export const FIRST_ID = '0123456789abcdef' as KeyId;
export const SECOND_ID = 'fedcba9876543210' as KeyId;
const GARBAGE = 'marker-garbage-that-is-no-half';

/** `<key id or bare>:<hex>`, one a line, so that a test can compare what was read. */
export function readable(reading: HalfReading): readonly string[] {
  const lines = linesOf(reading).map(({ keyId, half }) => `${keyId ?? 'bare'}:${half.unsafeHex()}`);
  destroyReading(reading);
  return lines;
}

export function describeHalfSource(
  name: string,
  start: () => Promise<SourceUnderTest>,
  kind: SourceKind,
): void {
  describe(`the half source ${name}`, () => {
    let at: SourceUnderTest;
    beforeEach(async () => {
      at = await start();
    });
    afterEach(() => at.stop());

    test('says that nothing is there when nothing is there', async () => {
      expect(await at.source.read()).toEqual({ status: 'missing' });
    });

    test('reads a half', async () => {
      const expected = await at.plantHalf(KeyHalf.generate());
      const reading = await at.source.read();
      expect(reading.status).toBe('found');
      expect(readable(reading)).toEqual([`bare:${expected.unsafeHex()}`]);
    });

    test('reads afresh each time, into halves of their own', async () => {
      await at.plantHalf(KeyHalf.generate());
      const first = await at.source.read();
      const second = await at.source.read();
      const lines = readable(first); // destroys the first
      expect(readable(second)).toEqual(lines);
    });

    test('calls corrupt what is no half, and does not quote it', async () => {
      await at.plantGarbage(GARBAGE);
      const reading = await at.source.read();
      expect(reading).toMatchObject({ status: 'corrupt', lines: [] });
      expect(JSON.stringify(reading)).not.toContain('marker');
    });

    if (kind.canBeCutOff !== false) {
      test('is unreadable, not missing, when it cannot be asked', async () => {
        await cutOff(at);
        expect(await at.source.read()).toMatchObject({ status: 'unreadable' });
      });
    }

    test('names itself, its place and its artefacts', async () => {
      expect(at.source.source).toBe(name);
      expect(at.source.place).not.toBe('');
      for (const { id, label } of await at.source.artefacts()) {
        expect(id).not.toBe('');
        expect(label).not.toBe('');
      }
    });

    if (kind.isWritable) describeWriting(() => at, kind.canCopyAside ?? true);
    else describeReadOnly(() => at);
  });
}

async function cutOff(at: SourceUnderTest): Promise<void> {
  if (at.cutOff === undefined) throw new Error('this source needs a cutOff()');
  await at.cutOff();
}

function describeReadOnly(current: () => SourceUnderTest): void {
  test('says why it cannot be written, refuses, and changes nothing', async () => {
    const at = current();
    await at.plantHalf(KeyHalf.generate());
    const before = await at.stored();
    expect(at.source.isWritable).toBe(false);
    expect(await at.source.writeRefusal()).toMatch(/\w/);
    const line = { keyId: FIRST_ID, half: KeyHalf.generate() };
    await expect(at.source.append(line)).rejects.toMatchObject({ code: 'HALF_NOT_WRITABLE' });
    await expect(at.source.remove({ keyId: FIRST_ID })).rejects.toMatchObject({
      code: 'HALF_NOT_WRITABLE',
    });
    expect(await at.stored()).toBe(before);
  });
}

function describeWriting(current: () => SourceUnderTest, canCopyAside: boolean): void {
  const first = { keyId: FIRST_ID, half: KeyHalf.fromHex('a1'.repeat(32)) };
  const second = { keyId: SECOND_ID, half: KeyHalf.fromHex('b2'.repeat(32)) };
  const firstText = `${FIRST_ID}:${'a1'.repeat(32)}`;
  const secondText = `${SECOND_ID}:${'b2'.repeat(32)}`;

  test('appends: what is there stays, the newest line is the last', async () => {
    const { source } = current();
    expect(source.isWritable).toBe(true);
    expect(await source.writeRefusal()).toBeUndefined();
    await source.append(first);
    expect(readable(await source.read())).toEqual([firstText]);
    await source.append(second);
    expect(readable(await source.read())).toEqual([firstText, secondText]);
  });

  test('leaves a bare half that nobody knows as it is: it is another system’s', async () => {
    const at = current();
    await at.plantHalf(KeyHalf.generate());
    const before = await at.stored();
    const other = [KeyHalf.generate()];
    await expect(at.source.append(first)).rejects.toMatchObject({ code: 'HALF_FOREIGN' });
    await expect(at.source.append(first, { ownBare: other })).rejects.toThrow(at.source.place);
    await at.source.remove({ keyId: FIRST_ID });
    expect(await at.stored()).toBe(before);
  });

  test('appends after a bare half that is known to be ours', async () => {
    const at = current();
    const bare = await at.plantHalf(KeyHalf.generate());
    await at.source.append(first, { ownBare: [bare] });
    expect(readable(await at.source.read())).toEqual([`bare:${bare.unsafeHex()}`, firstText]);
  });

  test('leaves a foreign line beside ours byte for byte, whatever is done around it', async () => {
    const at = current();
    const foreign = ` ${'Ab'.repeat(32)}\t`;
    await at.plantGarbage(`${foreign}\n${firstText}`);
    await at.source.append(second);
    await at.source.remove({ keyId: FIRST_ID });
    expect(await at.stored()).toContain(foreign);
    expect(readable(await at.source.read())).toEqual([`bare:${'ab'.repeat(32)}`, secondText]);
    await at.source.remove({ keyId: SECOND_ID });
    expect(await at.stored()).toContain(foreign);
    expect(readable(await at.source.read())).toEqual([`bare:${'ab'.repeat(32)}`]);
    // What is left is foreign through and through.
    await expect(at.source.append(first)).rejects.toMatchObject({ code: 'HALF_FOREIGN' });
  });

  test('leaves a corrupt value with a foreign half in it as it is', async () => {
    const at = current();
    const corrupt = `${'ab'.repeat(32)}\n${GARBAGE}`;
    await at.plantGarbage(corrupt);
    await expect(at.source.append(first)).rejects.toMatchObject({ code: 'HALF_FOREIGN' });
    expect(await at.stored()).toContain(corrupt);
    expect((await at.copies?.()) ?? []).toEqual([]);
  });

  test('takes a blank value for nobody’s: it writes there, and copies nothing aside', async () => {
    const at = current();
    await at.plantGarbage(' \n');
    expect(await at.source.writeRefusal()).toBeUndefined();
    await at.source.append(first);
    expect(readable(await at.source.read())).toEqual([firstText]);
    expect((await at.copies?.()) ?? []).toEqual([]);
  });

  test('appending what is there already changes nothing', async () => {
    const at = current();
    await at.source.append(first);
    const before = await at.stored();
    await at.source.append(first);
    expect(await at.stored()).toBe(before);
  });

  test('removes one key’s line and leaves the others; with the last one the value goes', async () => {
    const at = current();
    await at.source.append(first);
    await at.source.append(second);
    await at.source.remove({ keyId: FIRST_ID });
    expect(readable(await at.source.read())).toEqual([secondText]);
    await at.source.remove({ keyId: SECOND_ID });
    expect(await at.source.read()).toEqual({ status: 'missing' });
    expect((await at.stored()) ?? '').toBe('');
  });

  test('removes a bare half only when it is the one that was meant', async () => {
    const at = current();
    const bare = await at.plantHalf(KeyHalf.generate());
    await at.source.remove({ keyId: FIRST_ID });
    await at.source.remove({ keyId: FIRST_ID, bareHalf: KeyHalf.generate() });
    expect(readable(await at.source.read())).toEqual([`bare:${bare.unsafeHex()}`]);
    await at.source.remove({ keyId: FIRST_ID, bareHalf: bare });
    expect(await at.source.read()).toEqual({ status: 'missing' });
  });

  test('removing what is not there is no error', async () => {
    const at = current();
    await at.source.remove({ keyId: FIRST_ID });
    expect(await at.source.read()).toEqual({ status: 'missing' });
    await at.source.append(second);
    await at.source.remove({ keyId: FIRST_ID });
    expect(readable(await at.source.read())).toEqual([secondText]);
  });

  if (canCopyAside) {
    test('copies a corrupt value aside before it writes, and keeps its whole lines', async () => {
      const at = current();
      const corrupt = `${firstText}\n${GARBAGE}`;
      await at.plantGarbage(corrupt);
      await at.source.append(second);
      expect(readable(await at.source.read())).toEqual([firstText, secondText]);
      expect(await at.copies?.()).toEqual([corrupt]);
      await at.plantGarbage(GARBAGE);
      await at.source.append(first);
      expect(new Set(await at.copies?.())).toEqual(new Set([corrupt, GARBAGE]));
    });
  } else {
    test('refuses to write over a corrupt value that it cannot copy aside', async () => {
      const at = current();
      await at.plantGarbage(GARBAGE);
      expect(await at.source.writeRefusal()).toMatch(/corrupt/);
      await expect(at.source.append(second)).rejects.toMatchObject({ code: 'HALF_CORRUPT' });
      expect(await at.stored()).toBe(GARBAGE);
    });
  }

  test('removes no line out of a corrupt value, since the copy would keep it', async () => {
    const at = current();
    const corrupt = `${firstText}\n${GARBAGE}`;
    await at.plantGarbage(corrupt);
    await expect(at.source.remove({ keyId: FIRST_ID })).rejects.toMatchObject({
      code: 'HALF_CORRUPT',
    });
    expect(await at.stored()).toContain(GARBAGE);
  });

  test('cut off, it refuses to write with an error that names the place', async () => {
    const at = current();
    await at.source.append(first);
    await cutOff(at);
    await expect(at.source.append(second)).rejects.toThrow(at.source.place);
    await expect(at.source.append(second)).rejects.toMatchObject({ name: 'KeystoreError' });
  });
}
