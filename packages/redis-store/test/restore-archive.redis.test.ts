/** An archive is put back whole, whoever wrote the file, and whenever the power goes. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archiveDatabase } from '../src/recover/archive.js';
import { inspectArchive, restoreArchive } from '../src/recover/restore-archive.js';
import type { RestoreArchiveOptions } from '../src/recover/restore-archive.js';
import { staticCustody } from '../src/keys/static-custody.js';
import { contents, DatabaseFixture, fill } from './database-fixture.js';

let fixture: DatabaseFixture;
beforeAll(async () => {
  fixture = await DatabaseFixture.start();
});
afterEach(async () => {
  await fixture.closeAll();
  await fixture.reset();
});
afterAll(async () => {
  await fixture.stop();
});

const RECORDS = 50;
const SEAL = 'vault:{meta}:seal';
const EVE = JSON.stringify({ email: 'eve', pwHash: 'HASH-OF-EVE' });

function options(changes: Partial<RestoreArchiveOptions> = {}): RestoreArchiveOptions {
  return {
    redis: { socketPath: fixture.redis.socketPath ?? '' },
    custody: fixture.custody,
    dataDir: fixture.dataDir,
    ...changes,
  };
}

/** A database that was put aside, and another that stands in its place now. */
async function putAside(encrypt: boolean): Promise<{ path: string; before: unknown }> {
  const before = await fixture.using({ encrypt }, async (database) => {
    await fill(database, RECORDS);
    return contents(database);
  });
  const { path = '' } = await archiveDatabase(options({ custody: staticCustody() }));
  await fixture.using({ custody: staticCustody() }, (database) => fill(database, 2));
  return { path, before };
}

async function served(encrypt = true): Promise<unknown> {
  return fixture.using({ encrypt }, async (database) => {
    expect(await database.verify()).toMatchObject({ isSound: true });
    return contents(database);
  });
}

/** What an enemy makes of the file: other lines, and the digest that belongs to them. */
function forge(path: string, change: (lines: string[]) => string[]): string {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const changed = change(lines.slice(0, -1));
  const keys = changed.filter((line) => line.startsWith('{"key"')).length;
  const sha256 = createHash('sha256')
    .update(`${changed.join('\n')}\n`)
    .digest('hex');
  const end = JSON.stringify({ end: { keys, plaintextRecords: 0, sha256 } });
  const forged = join(fixture.dataDir, 'forged.jsonl');
  writeFileSync(forged, `${[...changed, end].join('\n')}\n`);
  return forged;
}

async function lineOf(key: string, value: string): Promise<string> {
  await fixture.client.set('elsewhere', value);
  const dump = (await fixture.client.dumpBuffer('elsewhere')) ?? Buffer.alloc(0);
  await fixture.client.del('elsewhere');
  return JSON.stringify({ key, dump: dump.toString('base64') });
}

const stopAt =
  (at: string) =>
  (step: string): Promise<void> =>
    step === at ? Promise.reject(new Error('stopped here')) : Promise.resolve();

async function expectNothingChanged(work: () => Promise<unknown>, error: object): Promise<void> {
  const before = [await fixture.dump(), fixture.files(), fixture.readFile('vault-state')];
  await expect(work()).rejects.toMatchObject(error);
  expect([await fixture.dump(), fixture.files(), fixture.readFile('vault-state')]).toEqual(before);
}

describe('putting an archive back', () => {
  it('says what it holds, and changes nothing', async () => {
    const { path } = await putAside(true);
    const [keyId] = (await fixture.custody.load()).ring.ids;
    const before = [await fixture.dump(), fixture.files()];
    expect(await inspectArchive(path, options())).toMatchObject({
      records: RECORDS + 1,
      plaintextRecords: 0,
      seal: 'authentic',
      keyId,
    });
    const missing = options({ custody: staticCustody() });
    expect(await inspectArchive(path, missing)).toMatchObject({ seal: 'key-missing', keyId });
    expect([await fixture.dump(), fixture.files()]).toEqual(before);
  });

  it.each([
    'restore-prove-batch',
    'restore-proven',
    'archive-written',
    'archive-announced',
    'archive-seal-removed',
    'archive-fences-removed',
    'archive-removed',
    'restore-batch',
    'restore-records',
    'restore-fences',
    'restore-seal',
    'restore-witnessed',
  ])('killed at %s is ended by another run, and nothing is lost', async (at) => {
    const { path, before } = await putAside(true);
    await expect(restoreArchive(path, options({ onStep: stopAt(at) }))).rejects.toThrow('stopped');
    await restoreArchive(path, options());
    expect(await served()).toEqual(before);
  });

  it('where Redis does not allow RESTORE changes nothing', async () => {
    const { path } = await putAside(true);
    const { client } = fixture;
    await client.acl('SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', '-restore');
    const limited = { ...options().redis, username: 'limited', password: 'secret' };
    await expectNothingChanged(() => restoreArchive(path, options({ redis: limited })), {
      code: 'OPERATION_REFUSED',
      message: expect.stringContaining('NOPERM'),
    });
    await client.acl('DELUSER', 'limited');
  });

  it('where Redis does not know the form of a value changes nothing', async () => {
    const { path } = await putAside(true);
    const forged = forge(path, (lines) => {
      const [last = ''] = lines.slice(-1);
      const { key, dump } = JSON.parse(last) as { key: string; dump: string };
      const bytes = Buffer.from(dump, 'base64');
      // The version of the format, above any that a Redis knows.
      bytes.writeUInt16LE(0xff_ff, bytes.length - 10);
      return [...lines.slice(0, -1), JSON.stringify({ key, dump: bytes.toString('base64') })];
    });
    await expectNothingChanged(() => restoreArchive(forged, options()), {
      code: 'OPERATION_REFUSED',
      message: expect.stringMatching(/does not take vault:.*Nothing was changed/),
    });
  });

  it('that was exchanged for another after it was looked at ends without a seal', async () => {
    const { path } = await putAside(true);
    const eve = await lineOf('vault:{user}:r:eve', EVE);
    const forged = forge(path, (lines) => [...lines, eve]);
    const onStep = async (step: string): Promise<void> => {
      if (step !== 'restore-proven') return;
      chmodSync(path, 0o600);
      copyFileSync(forged, path);
    };
    await expect(restoreArchive(path, options({ onStep }))).rejects.toThrow(
      /was changed while it was read/,
    );
    expect(await fixture.client.exists('vault:{meta}:seal')).toBe(0);
  });
});

describe('an archive that anybody can have written', () => {
  it('of a plaintext database is refused, and put back where that is wanted', async () => {
    const { path, before } = await putAside(false);
    await expectNothingChanged(() => restoreArchive(path, options()), {
      code: 'OPERATION_REFUSED',
      message: expect.stringMatching(
        /of a plaintext database.*and 51 of its 51 records are plaintext.*nothing was changed/,
      ),
    });
    await restoreArchive(path, options({ allowUnprotected: true }));
    expect(await served(false)).toEqual(before);
  });

  it('is counted record by record, whatever its last line says', async () => {
    const { path } = await putAside(true);
    const eve = await lineOf('vault:{user}:r:eve', EVE);
    const forged = forge(path, (lines) => [...lines, eve]);
    await expectNothingChanged(() => restoreArchive(forged, options()), {
      code: 'OPERATION_REFUSED',
      message: expect.stringContaining('1 of its 52 records are plaintext'),
    });
  });

  it.each<[string, (lines: string[]) => Promise<string[]>, RegExp]>([
    [
      'without a seal',
      async (lines) => lines.filter((line) => !line.includes('{meta}:seal')),
      /no seal that can be read/,
    ],
    [
      'with the seal of another',
      async (lines) => {
        const seal = await fixture.client.get('vault:{meta}:seal');
        const { keyId } = JSON.parse(seal?.split('\n')[0] ?? '{}') as { keyId: string };
        const [own = ''] = (await fixture.custody.load()).ring.ids;
        const changed = (seal ?? '').replace(keyId, own);
        return [
          ...lines.filter((line) => !line.includes('{meta}:seal')),
          await lineOf('vault:{meta}:seal', changed),
        ];
      },
      /no holder of the key that the archive names made its seal/,
    ],
  ])('%s is refused', async (_, change, message) => {
    const { path } = await putAside(true);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(0, -1);
    const changed = await change(lines);
    const forged = forge(path, () => changed);
    await expectNothingChanged(() => restoreArchive(forged, options()), {
      code: 'OPERATION_REFUSED',
      message: expect.stringMatching(message),
    });
  });

  it('of an encryption that came to its end long ago is refused, and nobody is planted', async () => {
    await fixture.using({ encrypt: false }, async (database) => fill(database, 3));
    let encrypting = '';
    const onStep = async (step: string): Promise<void> => {
      if (step === 'state-set') encrypting = (await fixture.client.get(SEAL)) ?? '';
    };
    await fixture.using({ onStep }, () => Promise.resolve());
    await fixture.client.set(SEAL, encrypting);
    const { path = '' } = await archiveDatabase(options());
    const objection = /in the middle of being encrypted.*is believed.*nothing was changed/;
    for (const custody of [fixture.custody, staticCustody()]) {
      // oxlint-disable-next-line no-await-in-loop -- with its key, and without
      expect(await inspectArchive(path, options({ custody }))).toMatchObject({ seal: 'half-done' });
      // oxlint-disable-next-line no-await-in-loop -- as above
      await expectNothingChanged(() => restoreArchive(path, options({ custody })), {
        code: 'OPERATION_REFUSED',
        message: expect.stringMatching(objection),
      });
    }
    await restoreArchive(path, options({ allowUnprotected: true }));
    expect(JSON.parse(fixture.readFile('vault-state'))).toMatchObject({ state: 'encrypting' });
  });

  it('says nothing of origin, pin or other keys before its key is there', async () => {
    await fixture.using({}, async (database) => {
      await fill(database, 3);
      await database.pin();
    });
    const [json = '', mac = ''] = ((await fixture.client.get(SEAL)) ?? '').split('\n');
    const lies = {
      pinned: false,
      origin: 'switched-on',
      inactiveKeyIds: ['00112233445566aa'],
      pendingKeyId: '00112233445566bb',
    };
    const forged = { ...(JSON.parse(json) as object), ...lies };
    await fixture.client.set(SEAL, `${JSON.stringify(forged)}\n${mac}`);
    const keyless = options({ custody: staticCustody() });
    const { path = '' } = await archiveDatabase(keyless);
    expect(await restoreArchive(path, keyless)).toMatchObject({ seal: 'key-missing' });
    // The half is there again: the fences prove the rest, and the seal is made anew.
    for (const encrypt of [false, undefined]) {
      // oxlint-disable-next-line no-await-in-loop -- one start after the other
      await fixture.using({ encrypt }, async (database) => {
        expect(database.state).toBe('encrypted');
        expect(await database.verify()).toMatchObject({ isSound: true, records: 4 });
      });
    }
    const [made = ''] = ((await fixture.client.get(SEAL)) ?? '').split('\n');
    expect(JSON.parse(made)).toMatchObject({
      state: 'encrypted',
      pinned: true,
      origin: 'made-encrypted',
      inactiveKeyIds: [],
      pendingKeyId: null,
    });
  });

  it('of plaintext says nothing of origin or keys either, and names no epoch that none reaches', async () => {
    await fixture.using({ encrypt: false }, async (database) => fill(database, 3));
    const [json = ''] = ((await fixture.client.get(SEAL)) ?? '').split('\n');
    const putBack = async (lies: object): Promise<unknown> => {
      const forged = { ...(JSON.parse(json) as object), ...lies };
      await fixture.client.set(SEAL, `${JSON.stringify(forged)}\n-`);
      const { path = '' } = await archiveDatabase(options());
      await restoreArchive(path, options({ allowUnprotected: true }));
      return JSON.parse(fixture.readFile('vault-state'));
    };
    expect(
      await putBack({ origin: 'switched-on', inactiveKeyIds: ['00112233445566aa'] }),
    ).toMatchObject({ state: 'plaintext', origin: 'made-encrypted', inactiveKeyIds: [] });
    expect(await putBack({ epoch: Number.MAX_SAFE_INTEGER - 2 })).toMatchObject({ epoch: 0 });
  });

  it('writes nothing that is not part of a database', async () => {
    const { path, before } = await putAside(true);
    const names = ['vault:{meta}:lock', 'vault:{meta}:process:x', 'other', 'vault:{user}:foreign'];
    const more = await Promise.all(names.map((name) => lineOf(name, 'x'.repeat(50))));
    const forged = forge(path, (lines) => [...lines, ...more]);
    await restoreArchive(forged, options());
    expect(await fixture.client.exists(...names)).toBe(0);
    expect(await served()).toEqual(before);
  });
});

describe('between the putting back and the next start', () => {
  let path: string;
  beforeEach(async () => {
    ({ path } = await putAside(true));
    await restoreArchive(path, options());
  });

  it('nobody puts a plaintext database in its place', async () => {
    await fixture.client.flushall();
    await fixture.client.set('vault:{user}:r:eve', EVE);
    await fixture.client.zadd('vault:{user}:ids', 0, 'eve');
    expect((await fixture.openDegraded()).reason).toBe('foreignDatabase');
  });

  it('nor an older seal of the same key, which is made again as it was', async () => {
    const seal = await fixture.client.get('vault:{meta}:seal');
    await fixture.using({}, (database) => database.markBootstrapped());
    const { path: newer = '' } = await archiveDatabase(options());
    await restoreArchive(newer, options());
    await fixture.client.set('vault:{meta}:seal', seal ?? '');
    await fixture.using({}, (database) => {
      expect(database.isBootstrapped).toBe(true);
      return Promise.resolve();
    });
  });
});
