/** Migrations that fail, and every road back that the model's manual and ours name, walked with the programs. */
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FullDisk } from '../harness/full-disk.js';
import { Resources } from '../harness/resources.js';
import { VaultCli } from '../harness/vault-cli.js';
import { TEST_ADMIN } from '../harness/vault-server.js';
import { VaultSite, type SavedSite } from '../harness/vault-site.js';

const HOSTS = ['xcp1.example.org', 'xcp2.example.org', 'xcp3.example.org'];
const PASSPHRASE = 'a passphrase of the backup';
const RECOVERY_PASSWORD = 'a recovery password';
const BACKED_UP = /"isBackedUp":true/;

// Many starts of real programs, on a machine that may be busy.
jest.setTimeout(180_000);

const resources = new Resources();
let site: VaultSite;
let cli: VaultCli;
let disk: FullDisk;
let plaintext: SavedSite;
let encrypted: SavedSite;
let configBackup: string;

beforeAll(async () => {
  site = resources.use(await VaultSite.prepare());
  cli = resources.use(new VaultCli());
  disk = resources.use(await FullDisk.prepare('encryption-backup'));
  site.server.setEnvironment(disk.env);
  await site.start(false);
  await register();
  for (const host of HOSTS) {
    const args = ['server.add', `host=${host}`, 'username=root', 'password=-'];
    await cli.succeed(args, `pass of ${host}\n`);
  }
  configBackup = cli.folder.join('before.pgp');
  await exportTo(configBackup);
  await site.server.terminate();
  plaintext = await site.save();
  await site.start(true);
  await site.server.terminate();
  encrypted = await site.save();
});
afterAll(() => resources.stop());
afterEach(async () => {
  disk.free();
  site.proxy.reset();
  await giveMemory('0');
  if (site.server.isRunning) await site.server.terminate();
});

async function register(): Promise<void> {
  await cli.succeed(['register', site.server.url, TEST_ADMIN.email], `${TEST_ADMIN.password}\n`);
}
function exportTo(path: string): Promise<string> {
  return cli.succeed(['system.exportConfig', 'passphrase=-', `@=${path}`], `${PASSPHRASE}\n`);
}
/** `'1'`: Redis refuses every write; `'0'`: no limit. */
async function giveMemory(maxmemory: string): Promise<void> {
  await site.redis.client().config('SET', 'maxmemory', maxmemory);
}

/** Starts a migration in the middle of which Redis begins to refuse writes. */
async function failInTheMiddle(isOn: boolean): Promise<void> {
  const refused = site.once(BACKED_UP, () => giveMemory('1'));
  await site.start(isOn);
  await refused;
}

const backupPath = (): string => join(site.server.dataDir, 'encryption-backup.json');
/** Without what every server has: its socket, and what proves which one it is. */
const filesOfData = (): string[] =>
  readdirSync(site.server.dataDir)
    .filter((name) => !name.endsWith('.sock') && !['instance', 'vault-machine'].includes(name))
    .toSorted();

/** Degraded with the line of the model; the CLI says so in one sentence and by its exit status. */
async function expectFailedMigration(cause: RegExp): Promise<void> {
  expect(site.server.state).toBe('degraded');
  const line =
    'vault:crypto-credentials ERROR Credential database migration failed - running in degraded mode';
  expect(site.server.stderr).toContain(`${line} { backupPath: '${backupPath()}', cause: `);
  expect(site.server.stderr).toMatch(cause);
  const { status, stdout, stderr } = await cli.run(['server.getAll']);
  expect({ status, stdout }).toEqual({ status: 6, stdout: '' });
  expect(stderr).toMatch(/degraded mode/);
}

interface MigrationBackup {
  readonly of: string;
  readonly records: readonly { readonly record?: object; readonly stored?: string }[];
}

/** The backup is whole and for its owner alone. */
function readBackup(): MigrationBackup {
  expect(statSync(backupPath()).mode & 0o777).toBe(0o400);
  return JSON.parse(readFileSync(backupPath(), 'utf8')) as MigrationBackup;
}

async function expectServing(state: 'encrypted' | 'plaintext'): Promise<void> {
  if (site.server.state !== 'ready') throw new Error(site.server.stderr);
  await site.signedIn(async (call) => {
    const servers = (await call('server.getAll')) as readonly { id: string; host: string }[];
    expect(servers.map(({ host }) => host).toSorted()).toEqual(HOSTS);
    for (const { id, host } of servers) {
      expect(await call('server.reveal', { id })).toMatchObject({ password: `pass of ${host}` });
    }
    expect(await call('encryption.getStatus')).toMatchObject({ state, migration: null });
    expect(await call('encryption.verify')).toMatchObject({ isSound: true });
  });
}

describe('encrypt fails because Redis refuses writes in the middle', () => {
  let halves: [string | undefined, string];

  async function failToEncrypt(): Promise<void> {
    await site.restore(plaintext);
    await failInTheMiddle(true);
    await expectFailedMigration(/Redis refused the command \(OOM\): it is out of memory/);
    const { of, records } = readBackup();
    // Three servers, one user, the token of the registration.
    expect([of, records.length]).toEqual(['plaintext', 5]);
    expect(JSON.stringify(records)).toContain('pass of xcp3.example.org');
    halves = [await site.readHalfA(), readFileSync(site.halfBPath, 'utf8')];
    expect(halves[0]).toMatch(/^[0-9a-f]{16}:[0-9a-f]{64}$/);
    await site.server.terminate();
    await giveMemory('0');
  }

  test('retry: the same keys, and the backup goes', async () => {
    await failToEncrypt();
    await site.start(true);
    await expectServing('encrypted');
    expect([await site.readHalfA(), readFileSync(site.halfBPath, 'utf8')]).toEqual(halves);
    expect(filesOfData()).toEqual(['vault-encryption-key', 'vault-state']);
  });

  test('back to plaintext: the setting is taken back, and the keys go', async () => {
    await failToEncrypt();
    await site.start(false);
    await expectServing('plaintext');
    expect(await site.readHalfA()).toBeUndefined();
    expect(filesOfData()).toEqual(['vault-state']);
  });

  test('a half was removed by hand on the way back: degraded, until it is put back', async () => {
    await failToEncrypt();
    await site.writeHalfA(undefined);
    const before = await site.save();
    await site.start(false);
    expect(site.server.state).toBe('degraded');
    expect(site.server.stderr).toContain('ERROR Only one encryption key half found');
    expect(await site.save()).toEqual(before);
    await site.server.terminate();
    await site.writeHalfA(halves[0]);
    await site.start(false);
    await expectServing('plaintext');
  });

  test('both halves are removed and the line is off: the backup of the migration is put back', async () => {
    await failToEncrypt();
    const restore = ['restore-migration-backup', backupPath()];
    const refused = await site.server.run([...restore, '--yes']);
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/key [0-9a-f]{16} is there: nothing needs to be put back/),
    ]);

    await site.writeHalfA(undefined);
    site.writeHalfB(undefined);
    await site.start(false);
    expect(site.server.stderr).toContain('ERROR Encryption keys are missing');
    await site.server.terminate();
    const asked = await site.server.run(restore);
    expect([asked.status, asked.stderr]).toEqual([
      2,
      expect.stringContaining('5 records (server 3,'),
    ]);
    const restored = await site.server.run([...restore, '--yes']);
    expect([restored.status, restored.stdout]).toEqual([
      0,
      expect.stringContaining('5 records were put back into a new database, plaintext'),
    ]);
    expect(restored.stdout + restored.stderr).not.toMatch(/pass of xcp/);

    await site.start(false);
    await expectServing('plaintext');
    // The token of the registration came back too.
    await cli.succeed(['server.getAll']);
    expect(await site.readHalfA()).toBeUndefined();
    expect(filesOfData()).toEqual([
      expect.stringMatching(/^archived-database_.*\.jsonl$/),
      'encryption-backup.json',
      'vault-state',
      expect.stringMatching(/^vault-state\.replaced-\d+$/),
    ]);
  });

  test('restore a config backup: what is there is put aside, all comes under new keys', async () => {
    await failToEncrypt();
    await site.writeHalfA(undefined);
    site.writeHalfB(undefined);
    site.server.configure(site.encryption(true));
    site.server.setEnvironment({ VAULT_RECOVERY_PASSWORD: RECOVERY_PASSWORD });
    await site.server.spawn().waitForOutput(/^vault-server recovery on/m);
    const args = ['--url', site.server.recoveryUrl, '--user', 'recovery', 'system.importConfig'];
    const input = `${RECOVERY_PASSWORD}\n${PASSPHRASE}\n`;
    await cli.succeed([...args, 'passphrase=-', `@=${configBackup}`], input);
    await site.server.terminate();
    site.server.setEnvironment({ VAULT_RECOVERY_PASSWORD: '' });
    await site.start(true);
    await expectServing('encrypted');
    expect(await site.readHalfA()).not.toBe(halves[0]);
  });
});

describe('decrypt fails because Redis refuses writes in the middle', () => {
  async function failToDecrypt(): Promise<void> {
    await site.restore(encrypted);
    const halves = [await site.readHalfA(), readFileSync(site.halfBPath, 'utf8')];
    await failInTheMiddle(false);
    await expectFailedMigration(/\(OOM\)/);
    const { of, records } = readBackup();
    expect([of, records.length]).toEqual(['encrypted', 5]);
    expect(records.every(({ stored }) => stored !== undefined)).toBe(true);
    expect([await site.readHalfA(), readFileSync(site.halfBPath, 'utf8')]).toEqual(halves);
    await site.server.terminate();
    await giveMemory('0');
  }

  test('retry: plaintext, and backup and keys go', async () => {
    await failToDecrypt();
    await site.start(false);
    await expectServing('plaintext');
    expect(await site.readHalfA()).toBeUndefined();
    expect(filesOfData()).toEqual(['vault-state']);
  });

  test('re-enable, export, and start anew in plaintext with the export', async () => {
    await failToDecrypt();
    await site.start(true);
    await expectServing('encrypted');
    const fresh = cli.folder.join('fresh.pgp');
    await exportTo(fresh);
    await site.server.terminate();

    // A database of its own beside the old one, which stays as it is until all is well.
    renameSync(site.server.dataDir, `${site.server.dataDir}.old`);
    const isOff = { ...(site.encryption(false)['redis'] as object), prefix: 'plain' };
    site.server.configure({ redis: isOff });
    await site.server.launch();
    await register();
    const input = `${PASSPHRASE}\n`;
    await cli.succeed(['system.importConfig', 'passphrase=-', `@=${fresh}`], input);
    await expectServing('plaintext');
  });
});

describe('the disk is full while the backup is written', () => {
  test.each([
    ['encrypt', true],
    ['decrypt', false],
  ])('%s: degraded, no record changed, and the next start does it', async (_, isOn) => {
    const saved = isOn ? plaintext : encrypted;
    const records = (site_: SavedSite): unknown =>
      site_.redis.filter(([name]) => /:(?:r|i|u):|:ids$/.test(name));
    await site.restore(saved);
    disk.fill();
    await site.start(isOn);
    await expectFailedMigration(/ENOSPC/);
    const after = await site.save();
    expect(records(after)).toEqual(records(saved));
    // The pair that was made stays, and no half of a backup does.
    expect(after.halfA).toMatch(/^[0-9a-f]{16}:[0-9a-f]{64}$/);
    expect(filesOfData()).toEqual(['vault-encryption-key', 'vault-state']);
    await site.server.terminate();

    disk.free();
    await site.start(isOn);
    await expectServing(isOn ? 'encrypted' : 'plaintext');
  });
});

describe('XenStore goes away', () => {
  test('before a key could be made: degraded, nothing encrypted', async () => {
    await site.restore(plaintext);
    site.xenstored.pause();
    try {
      await site.start(true);
      expect(site.server.state).toBe('degraded');
    } finally {
      site.xenstored.resume();
    }
    expect(site.server.stderr).toContain(
      'ERROR Credential database encryption failed - running in degraded mode {',
    );
    expect((await site.save()).redis).toEqual(plaintext.redis);
    await site.server.restart();
    await expectServing('encrypted');
  });

  test('when decrypt would delete the keys: they are kept, and the next start deletes them', async () => {
    await site.restore(encrypted);
    const gone = site.once(/"state":"plaintext"/, async () => site.xenstored.pause());
    try {
      await site.start(false);
      await gone;
    } finally {
      site.xenstored.resume();
    }
    expect(site.server.stderr).toMatch(/XenStore|xenstored/);
    expect(await site.readHalfA()).toBe(encrypted.halfA);
    await site.server.terminate();
    await site.start(false);
    await expectServing('plaintext');
    expect(await site.readHalfA()).toBeUndefined();
    expect(filesOfData()).toEqual(['vault-state']);
  });
});
