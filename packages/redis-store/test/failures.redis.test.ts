/** A migration that fails: Redis refuses, the disk is full, another process has the opposite setting. The backup and the keys are kept, and the next start mends it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TcpProxy } from '../../../test/harness/tcp-proxy.js';
import type { Verdict } from '../../../test/harness/tcp-proxy.js';
import { contents, DatabaseFixture, fill } from './database-fixture.js';
import type { DegradedError } from '../src/errors.js';

let fixture: DatabaseFixture;
let before: unknown;
beforeEach(async () => {
  fixture = await DatabaseFixture.start();
  before = await fixture.using({ encrypt: false }, async (database) => {
    await fill(database, 30);
    return contents(database);
  });
});
afterEach(async () => {
  await fixture.stop();
});

function expectMigrationFailed({ reason, message, details }: DegradedError): void {
  expect(reason).toBe('migrationFailed');
  expect(message).toBe('Credential database migration failed - running in degraded mode');
  expect(details.backupPath).toBe(`${fixture.dataDir}/encryption-backup.json`);
}

describe('Redis that refuses writes in the middle', () => {
  it('leaves the server degraded with backup and halves kept; a restart ends the migration', async () => {
    const error = await fixture.openDegraded({
      onStep: async (step) => {
        if (step === 'backup-sealed') await fixture.client.config('SET', 'maxmemory', '1');
      },
    });
    expectMigrationFailed(error);
    expect(error.details.cause).toContain('OOM');
    expect(fixture.files()).toContain('encryption-backup.json');
    expect((await fixture.custody.load()).ring.ids).toHaveLength(1);
    await fixture.client.config('SET', 'maxmemory', '0');
    expect(await fixture.using({}, contents)).toEqual(before);
    expect(fixture.files()).toEqual(['vault-state']);
  });
});

describe('Redis that dies in the middle', () => {
  it('leaves the server degraded; a restart ends the migration', async () => {
    const error = await fixture.openDegraded({
      onStep: async (step) => {
        if (step === 'encrypt-transformed') await fixture.redis.kill();
      },
    });
    expectMigrationFailed(error);
    await fixture.redis.restart();
    // The lock of a process that ended is taken over at once; here it is this very process' own.
    await fixture.client.del('vault:{meta}:lock');
    expect(await fixture.using({}, contents)).toEqual(before);
  });
});

describe('Redis that dies while it rewrites its files', () => {
  it('rewrites them after its start: no plaintext is left in them', async () => {
    const proxy = await TcpProxy.start({ target: { path: fixture.redis.socketPath ?? '' } });
    let isRewriting = false;
    proxy.intercept = async ({ command }): Promise<Verdict> => {
      if (command === 'BGREWRITEAOF') isRewriting = true;
      if (!isRewriting || command !== 'INFO') return 'pass';
      proxy.intercept = undefined;
      await fixture.redis.kill();
      await fixture.redis.restart();
      return 'cut';
    };
    try {
      // A rewrite that lasts until Redis is killed; in microseconds a key.
      await fixture.client.config('SET', 'rdb-key-save-delay', '100000');
      const after = await fixture.using({ redis: { url: proxy.url } }, contents);
      expect(after).toEqual(before);
      expect(isRewriting).toBe(true);
    } finally {
      await proxy.stop();
    }
    expect(fixture.isInRedisFiles('SECRET-1')).toBe(false);
  });
});

describe('a backup that cannot be written', () => {
  const fullDisk = {
    ending: '.pgp',
    protect: (plain: Readable): Readable => {
      const out = new PassThrough();
      plain.once('data', () => out.destroy(new Error('ENOSPC: no space left on device')));
      return out;
    },
  };

  it('takes the migration back: the database is plaintext again, nothing half written is left', async () => {
    const error = await fixture.openDegraded({ backupProtection: fullDisk });
    expect(error.reason).toBe('migrationFailed');
    expect(error.details.cause).toContain('ENOSPC');
    expect(fixture.files()).toEqual(['vault-state']);
    expect(await fixture.using({ encrypt: false }, contents)).toEqual(before);
  });

  it('leaves nothing under its names where the last step of writing it fails', async () => {
    const folder = fixture.dataDir;
    // A folder in its place: the manifest is renamed already when the backup cannot be.
    const error = await fixture.openDegraded({
      onStep: async (step) => {
        if (step === 'state-set')
          mkdirSync(join(folder, 'encryption-backup.json', 'x'), { recursive: true });
      },
    });
    expect(error.reason).toBe('migrationFailed');
    expect(fixture.files()).not.toContain('encryption-backup.json.manifest');
  });

  it('is written at the next start, through the protection', async () => {
    let protectedBytes = 0;
    const protection = {
      ending: '.pgp',
      protect: (plain: Readable): Readable => {
        const out = new PassThrough();
        plain.on('data', (chunk: Buffer) => {
          protectedBytes += chunk.length;
          out.write('X'.repeat(8));
        });
        plain.on('end', () => out.end());
        return out;
      },
    };
    await fixture.openDegraded({ backupProtection: fullDisk });
    const error = await fixture.openDegraded({
      backupProtection: protection,
      onStep: (step) =>
        step === 'backup-sealed' ? Promise.reject(new Error('stopped')) : Promise.resolve(),
    });
    expect(error.details.backupPath).toBe(`${fixture.dataDir}/encryption-backup.json.pgp`);
    expect(fixture.readFile('encryption-backup.json.pgp')).toMatch(/^X+$/);
    expect(protectedBytes).toBeGreaterThan(1000);
    expect(await fixture.using({}, contents)).toEqual(before);
  });
});

describe('a plain backup', () => {
  it('is one valid JSON document, mode 0400, with every record', async () => {
    await fixture.openDegraded({
      onStep: (step) =>
        step === 'backup-sealed' ? Promise.reject(new Error('stopped')) : Promise.resolve(),
    });
    const backup = JSON.parse(fixture.readFile('encryption-backup.json')) as {
      records: { collection: string; id: string; record: Record<string, unknown> }[];
    };
    expect(backup.records).toHaveLength(31);
    expect(backup.records[7]).toMatchObject({
      collection: 'server',
      id: 'server-00007',
      record: { password: 'SECRET-7' },
    });
    expect(fixture.modeOf('encryption-backup.json')).toBe(0o400);
    expect(fixture.modeOf('vault-state')).toBe(0o600);
  });
});

describe('another live server', () => {
  it('with the opposite setting leaves the one that starts degraded', async () => {
    await fixture.using({}, async () => {
      const error = await fixture.openDegraded({ encrypt: false });
      expect(error.reason).toBe('oppositeSetting');
      expect(error.details.cause).toContain(`process ${process.pid}`);
    });
    await fixture.using({ encrypt: false }, async (database) => {
      expect(await contents(database)).toEqual(before);
    });
  }, 15_000);

  it('with the same setting migrates, while the other waits and then serves', async () => {
    const [first, second] = await Promise.all([fixture.open({}), fixture.open({})]);
    expect(await contents(first)).toEqual(before);
    expect(await contents(second)).toEqual(before);
    expect((await fixture.custody.load()).ring.ids).toHaveLength(1);
  });
});

describe('a Redis that keeps nothing on disk', () => {
  it('keeps the backup of an encryption, is served, and status says why', async () => {
    await fixture.client.config('SET', 'appendonly', 'no');
    await fixture.using({}, async (database) => {
      expect(database.state).toBe('encrypted');
      expect(await contents(database)).toEqual(before);
      const { keptFilesBecause } = await database.status();
      expect(keptFilesBecause).toContain('keeps nothing on disk: set appendonly yes');
    });
    expect(fixture.files()).toContain('encryption-backup.json');

    // Once it does, the next start deletes it.
    await fixture.client.config('SET', 'appendonly', 'yes');
    await fixture.using({}, async (database) => {
      expect((await database.status()).keptFilesBecause).toBeNull();
      expect(await contents(database)).toEqual(before);
    });
    expect(fixture.files()).toEqual(['vault-state']);
  });

  it('keeps the halves after a decryption, and status says why', async () => {
    await fixture.using({}, async () => undefined);
    await fixture.client.config('SET', 'appendonly', 'no');
    await fixture.using({ encrypt: false }, async (database) => {
      expect(database.state).toBe('plaintext');
      const { keptKeysBecause, redisWarnings } = await database.status();
      expect(keptKeysBecause).toContain('keeps nothing on disk');
      expect(redisWarnings.join()).toContain('appendonly yes');
    });
    expect((await fixture.custody.load()).ring.ids).toHaveLength(1);

    // Once it does, the next start deletes them.
    await fixture.client.config('SET', 'appendonly', 'yes');
    await fixture.using({ encrypt: false }, async (database) => {
      expect(await contents(database)).toEqual(before);
      expect((await database.status()).keptKeysBecause).toBeNull();
    });
    expect((await fixture.custody.load()).ring.ids).toEqual([]);
  });
});
