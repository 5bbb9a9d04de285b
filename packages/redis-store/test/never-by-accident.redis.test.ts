/** A database is decrypted because somebody says so, never because a line is missing. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CredentialDatabase } from '../src/credential-database.js';
import { DatabaseFixture, fill } from './database-fixture.js';

const ABSENT = { encrypt: undefined };
const ON = { encrypt: true };
const OFF = { encrypt: false };
const NOTE = 'confirm-decrypt';

let fixture: DatabaseFixture;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  await fixture.stop();
});

/** State, origin and pin, of a start with this setting. */
async function start(setting: { readonly encrypt: boolean | undefined }): Promise<string> {
  fixture.logger.lines.length = 0;
  return fixture.using(setting, async (database) => {
    const { state, origin, pinned } = await database.status();
    return `${state}, ${origin}${pinned ? ', pinned' : ''}`;
  });
}
const logged = (level: string): string =>
  fixture.logger.lines
    .filter((line) => line.level === level)
    .map(({ message }) => message)
    .join('\n');

describe('a database whose first start had the setting', () => {
  beforeEach(async () => fixture.using(ON, async (database) => fill(database, 5)));

  it('stays encrypted where the setting is absent, and says so at each start', async () => {
    const before = await fixture.dumpRecords();
    for (const _ of [1, 2]) {
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      expect(await start(ABSENT)).toBe('encrypted, made-encrypted');
      expect(logged('warn')).toContain('The setting of encryption is absent');
    }
    expect(await fixture.dumpRecords()).toBe(before);
    expect((await fixture.custody.load()).ring.ids).toHaveLength(1);
  });

  it('is decrypted by an explicit false; who encrypts it later switches it on', async () => {
    expect(await start(OFF)).toBe('plaintext, switched-on');
    expect(await start(ON)).toBe('encrypted, switched-on');
    expect(await start(ABSENT)).toBe('plaintext, switched-on');
  });

  it('is encrypted to its end by a start without the setting', async () => {
    await fixture.reset();
    const stopped = await fixture.openDegraded({
      onStep: (step) =>
        step === 'backup-sealed' ? Promise.reject(new Error('cut')) : Promise.resolve(),
    });
    expect(stopped.reason).toBe('migrationFailed');
    expect(await start(ABSENT)).toBe('encrypted, made-encrypted');
  });

  it('keeps its origin where the seal is lost and made again', async () => {
    await fixture.client.del('vault:{meta}:seal');
    expect(await start(ABSENT)).toBe('encrypted, made-encrypted');
  });

  it('is opened by a tool whose configuration lacks the setting', async () => {
    await fixture.using({ ...ABSENT, role: 'tool' }, async (database) => {
      expect(database.isEncrypted).toBe(true);
    });
  });

  it('is served beside another process, the setting absent here and true there', async () => {
    await fixture.open(ON);
    await fixture.using(ABSENT, async (database) => {
      const { processes } = await database.status();
      expect(processes.map(({ encrypt }) => encrypt)).toEqual([true, true]);
    });
  });

  it('degrades a process with an explicit false while one without the setting lives', async () => {
    await fixture.open(ABSENT);
    expect((await fixture.openDegraded(OFF)).reason).toBe('oppositeSetting');
  });
});

describe('a database that was plaintext with us before', () => {
  beforeEach(async () => {
    await fixture.using(OFF, async (database) => fill(database, 5));
    await start(ON);
  });

  it('is decrypted where the setting goes', async () => {
    expect(await start(ON)).toBe('encrypted, switched-on');
    expect(await start(ABSENT)).toBe('plaintext, switched-on');
    expect((await fixture.custody.load()).ring.ids).toEqual([]);
  });

  it('is not, while it is pinned', async () => {
    await fixture.using(ON, (database) => database.pin());
    expect(await start(ABSENT)).toBe('encrypted, switched-on, pinned');
    expect(logged('error')).toContain('The database is pinned');
  });
});

describe('a pinned database', () => {
  beforeEach(async () =>
    fixture.using(ON, async (database) => {
      await fill(database, 5);
      await database.pin();
    }),
  );
  const confirm = (): Promise<void> =>
    fixture.using({ ...OFF, role: 'tool' }, (database) => database.confirmDecryption());

  it('stays encrypted under an explicit false, and says what to do', async () => {
    expect(await start(OFF)).toBe('encrypted, made-encrypted, pinned');
    expect(fixture.logger.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        data: { advice: expect.stringContaining('vault-server confirm-decrypt') as unknown },
      }),
    );
  });

  it('is decrypted after one confirmation, which is used up', async () => {
    await confirm();
    expect(await start(OFF)).toBe('plaintext, switched-on');
    expect(fixture.files()).toEqual(['vault-state']);
  });

  it('is decrypted to its end where that was cut short after it began', async () => {
    await confirm();
    await fixture.openDegraded({
      ...OFF,
      onStep: (step) =>
        step === 'backup-sealed' ? Promise.reject(new Error('cut')) : Promise.resolve(),
    });
    expect(await start(OFF)).toBe('plaintext, switched-on');
    expect(fixture.files()).toEqual(['vault-state']);
  });

  it('wants another one after a start that made no use of it', async () => {
    await confirm();
    expect(await start(ON)).toBe('encrypted, made-encrypted, pinned');
    expect(await start(OFF)).toBe('encrypted, made-encrypted, pinned');
  });

  it.each([
    ['a rotation', async (database: CredentialDatabase) => void (await database.rotateKey())],
    [
      'taking the pin away and setting it again',
      async (database: CredentialDatabase) => {
        await database.pin(false);
        await database.pin();
      },
    ],
  ])('wants another one after %s', async (_, change) => {
    await confirm();
    await fixture.using(ON, change);
    expect(await start(OFF)).toBe('encrypted, made-encrypted, pinned');
  });

  it('does not take the confirmation of another database, or one that was made up', async () => {
    await confirm();
    const note = readFileSync(join(fixture.dataDir, NOTE), 'utf8');
    await fixture.reset();
    await fixture.using(ON, (database) => database.pin());
    for (const text of [note, '', '\n', 'yes\n']) {
      writeFileSync(join(fixture.dataDir, NOTE), text);
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      expect(await start(OFF)).toBe('encrypted, made-encrypted, pinned');
    }
  });

  it('keeps its pin where the seal is lost and made again', async () => {
    await fixture.client.del('vault:{meta}:seal');
    expect(await start(OFF)).toBe('encrypted, made-encrypted, pinned');
  });

  it('stays so where somebody took the pin out of the seal', async () => {
    const seal = (await fixture.client.get('vault:{meta}:seal')) ?? '';
    expect(seal).toContain('"pinned":true');
    await fixture.client.set('vault:{meta}:seal', seal.replace('"pinned":true', '"pinned":false'));
    // Its fences and the witness agree: the seal is made again, with the pin that the witness knows.
    expect(await start(OFF)).toBe('encrypted, made-encrypted, pinned');
  });

  it('is decrypted by the line alone once the pin is taken away', async () => {
    await fixture.using(ON, (database) => database.pin(false));
    expect(await start(OFF)).toBe('plaintext, switched-on');
  });
});

describe('pinning and confirming', () => {
  it('are refused in plaintext', async () => {
    await fixture.using(OFF, async (database) => {
      await expect(database.pin()).rejects.toThrow('the database is plaintext');
      await expect(database.confirmDecryption()).rejects.toThrow('the database is plaintext');
    });
  });
  it('confirming is refused where nothing is pinned', async () => {
    await fixture.using(ON, async (database) => {
      await expect(database.confirmDecryption()).rejects.toThrow('not pinned');
    });
    expect(fixture.files()).toEqual(['vault-state']);
  });
});

describe('a start in plaintext', () => {
  it.each([OFF, ABSENT])('warns each time, with $encrypt', async (setting) => {
    for (const _ of [1, 2]) {
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      expect(await start(setting)).toBe('plaintext, switched-on');
      expect(logged('warn')).toContain('credentials are stored in plaintext');
    }
  });
});
