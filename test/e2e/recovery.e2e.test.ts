/** A half of the key is lost: recovery mode, the way back from it, and the recovery kit, as an operator walks them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gpg } from '../harness/gpg.js';
import type { ProgramResult } from '../harness/program.js';
import { RedisServer } from '../harness/redis.js';
import { JsonRpcWebSocketClient, Xo } from '../harness/registry-clients.js';
import { Resources } from '../harness/resources.js';
import { TcpProxy } from '../harness/tcp-proxy.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { VaultCli } from '../harness/vault-cli.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';
import { Xenstored } from '../harness/xenstored.js';

const HALF_A = 'vm-data/vault-encryption-key';
const RECOVERY_PASSWORD = 'recovery password of the night';
const PASSPHRASE = 'passphrase of the backup';
const SECRET = 'the password of xcp1';
/** Codes of protocol.ts. */
const RECOVERY = -32003;
const INVALID_CREDENTIALS = 3;
const LINE = /^([0-9a-f]{16}):[0-9a-f]{64}$/;

const shared = new Resources();
let xenstored: Xenstored;
let redis: RedisServer;
let gpg: Gpg;
beforeAll(async () => {
  xenstored = shared.use(await Xenstored.start());
  redis = shared.use(await RedisServer.start({ appendonly: true }));
  gpg = shared.use(new Gpg());
});
afterAll(() => shared.stop());

const resources = new Resources();
let folder: TemporaryFolder;
let server: VaultServer;
let cli: VaultCli;
/** Set where a test looks at, or stops, what goes to Redis. */
let proxy: TcpProxy | undefined;
const redisSocket = (): string => proxy?.path ?? (redis.socketPath as string);
beforeEach(async () => {
  proxy = undefined;
  await xenstored.cli('rm', [HALF_A]);
  const client = redis.client();
  await client.flushall();
  client.disconnect();
  folder = resources.use(new TemporaryFolder('vault-recovery'));
  cli = resources.use(new VaultCli());
  server = resources.use(await prepare());
  await server.launch();
  await call(server, 'server.add', { host: 'xcp1', username: 'root', password: SECRET });
});
afterEach(() => resources.stop());

/** A server on this test's folder, Redis and halves; not started. */
function prepare(
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<VaultServer> {
  return VaultServer.prepare({
    folder: folder.path,
    args,
    env: { XENSTORED_PATH: xenstored.socketPath, ...env },
    config: {
      keystore: { halfA: { source: 'xenstore', path: HALF_A }, halfB: { source: 'file' } },
      redis: { socket: redisSocket(), encryptCredentialDatabase: true },
    },
  });
}

/** `vault-server recover`, once it is in recovery mode. */
async function recover(args = ['recover']): Promise<VaultServer> {
  const env = { VAULT_RECOVERY_PASSWORD: RECOVERY_PASSWORD };
  const recovering = resources.use(await prepare(args, env));
  await recovering.spawn().waitForOutput(/^vault-server recovery on/m, { limitMs: 40_000 });
  return recovering;
}

/** A call on a connection of its own. */
async function call(
  at: VaultServer | string,
  method: string,
  params: object = {},
  credentials: object = TEST_ADMIN,
): Promise<unknown> {
  const url = typeof at === 'string' ? `${at.replace('http', 'ws')}/api/` : at.webSocketUrl;
  const client = new JsonRpcWebSocketClient(url);
  await client.open();
  try {
    await client.call('session.signIn', credentials);
    return await client.call(method, params);
  } finally {
    await client.close();
  }
}

/** An archive into which somebody wrote an administrator, with the digest that belongs to it. */
async function withPlaintext(archive: string): Promise<string> {
  const client = redis.client();
  await client.set('elsewhere', '{"email":"eve","permission":"admin"}');
  const dump = (await client.dumpBuffer('elsewhere'))?.toString('base64');
  await client.del('elsewhere');
  client.disconnect();
  const kept = readFileSync(archive, 'utf8').trimEnd().split('\n').slice(0, -1);
  const lines = [...kept, JSON.stringify({ key: 'vault:{user}:r:eve', dump })].join('\n');
  const sha256 = createHash('sha256').update(`${lines}\n`).digest('hex');
  const end = { keys: kept.length, plaintextRecords: 0, sha256 };
  const forged = folder.join('forged.jsonl');
  writeFileSync(forged, `${lines}\n${JSON.stringify({ end })}\n`);
  return forged;
}

const asRecovery = { email: 'recovery', password: RECOVERY_PASSWORD };

async function exportBackup(): Promise<string> {
  const file = folder.join('backup.pgp');
  const login = ['--url', server.url, '--user', TEST_ADMIN.email];
  const lines = `${TEST_ADMIN.password}\n${PASSPHRASE}\n`;
  await cli.succeed([...login, 'system.exportConfig', 'passphrase=-', `@=${file}`], lines);
  return file;
}

function importBackup(at: VaultServer, file: string, passphrase: string): Promise<ProgramResult> {
  const login = ['--url', at.recoveryUrl, '--user', 'recovery'];
  return cli.run(
    [...login, 'system.importConfig', 'passphrase=-', `@=${file}`],
    `${RECOVERY_PASSWORD}\n${passphrase}\n`,
  );
}

/** Names of all keys, without locks and heartbeats. */
async function redisContents(): Promise<unknown> {
  const client = redis.client();
  const keys = (await client.keys('*')).filter((key) => !/\{meta\}:(lock|process)/.test(key));
  const dumps = await Promise.all(keys.toSorted().map((key) => client.dumpBuffer(key)));
  client.disconnect();
  return keys.toSorted().map((key, n) => [key, dumps[n]?.toString('hex')]);
}

const halfBPath = (): string => join(server.dataDir, 'vault-encryption-key');
const archives = (): string[] =>
  readdirSync(server.dataDir).filter((name) => name.startsWith('archived-database_'));
async function readHalfA(): Promise<string> {
  return (await xenstored.cli('read', [HALF_A])).stdout.trim();
}
async function secretOf(at: VaultServer): Promise<unknown> {
  const [{ id }] = (await call(at, 'server.getAll')) as [{ id: string }];
  return call(at, 'server.reveal', { id });
}

describe('recovery mode', () => {
  test('does three things, from a backup to a server that serves it under a new key', async () => {
    const backup = await exportBackup();
    const oldHalfB = readFileSync(halfBPath(), 'utf8');
    const [, oldKeyId = ''] = LINE.exec(oldHalfB.trim()) ?? [];
    await server.terminate();
    await xenstored.cli('rm', [HALF_A]);
    const before = await redisContents();
    const recovering = await recover();

    const ready = await fetch(`${recovering.url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { mode: 'recovery', reason: 'oneHalf' },
    ]);
    const rest = await fetch(`${recovering.url}/rest/secrets/1.0/keys/inactive`);
    expect(rest.status).toBe(503);
    const door = recovering.recoveryUrl;
    await expect(call(door, 'system.getStatus')).rejects.toMatchObject({
      code: INVALID_CREDENTIALS,
    });
    await expect(call(recovering, 'system.getStatus', {}, asRecovery)).rejects.toMatchObject({
      code: RECOVERY,
      message: expect.stringContaining(`ssh -L ${new URL(door).port}:127.0.0.1:`),
    });
    expect(await call(door, 'system.getStatus', {}, asRecovery)).toMatchObject({
      mode: 'recovery',
      reason: 'oneHalf',
      neededKeyId: oldKeyId,
      diagnosis: [expect.stringContaining(`${HALF_A}) is missing; a half of key ${oldKeyId}`)],
    });
    for (const method of ['server.getAll', 'system.exportConfig', 'session.getUser', 'no.such']) {
      // oxlint-disable-next-line no-await-in-loop -- one connection after the other
      await expect(call(door, method, {}, asRecovery)).rejects.toMatchObject({
        code: RECOVERY,
      });
    }

    const wrong = await importBackup(recovering, backup, 'another passphrase');
    expect(wrong.stderr).toContain('nothing was changed');
    expect(await redisContents()).toEqual(before);
    expect(archives()).toEqual([]);

    const right = await importBackup(recovering, backup, PASSPHRASE);
    expect(right.stdout).toContain('config successfully imported: 2 records');
    const [archive = ''] = archives();
    expect(right.stdout).toContain(archive);
    expect(statSync(join(server.dataDir, archive)).mode & 0o777).toBe(0o400);
    expect(await secretOf(recovering)).toMatchObject({ password: SECRET });
    // Halves are added; what is there stays.
    expect(readFileSync(halfBPath(), 'utf8').trim().split('\n')).toEqual([
      oldHalfB.trim(),
      expect.stringMatching(LINE),
    ]);
    expect(await readHalfA()).toMatch(LINE);
    expect(await readHalfA()).not.toContain(oldKeyId);
    await recovering.terminate();

    await server.launch();
    expect(server.state).toBe('ready');
    expect(await secretOf(server)).toMatchObject({ password: SECRET });
    const output = server.allOutput + recovering.allOutput + wrong.stderr + right.stdout;
    expect(output).not.toMatch(
      new RegExp(`${SECRET}|${RECOVERY_PASSWORD}|${PASSPHRASE}|[0-9a-f]{64}`),
    );
  });

  test('lets xo-cli import, which opens a connection for each call', async () => {
    const backup = await exportBackup();
    await server.terminate();
    await xenstored.cli('rm', [HALF_A]);
    const recovering = await recover();
    const door = recovering.recoveryUrl;
    // `xo-cli register`, then `xo-cli system.importConfig passphrase=… @=backup.pgp`.
    const wanted = { client: { id: 'tfzqkw683u' }, description: 'xo-cli@0.32.3 - host - Linux' };
    const token = await call(door, 'token.create', wanted, asRecovery);
    const xo = new Xo({ url: door });
    await xo.open();
    await xo.signIn({ token });
    expect(xo.user).toMatchObject({ email: 'recovery' });
    await expect(xo.call('server.getAll')).rejects.toMatchObject({ code: RECOVERY });
    const offer = (await xo.call('system.importConfig', { passphrase: PASSPHRASE })) as {
      $sendTo: string;
    };
    await xo.close();
    const body = readFileSync(backup);
    const sent = await fetch(new URL(offer.$sendTo, `${door}/api/`), { method: 'POST', body });
    expect([sent.status, await sent.text()]).toEqual([
      200,
      expect.stringContaining('config successfully imported: 2 records'),
    ]);
    expect(await secretOf(recovering)).toMatchObject({ password: SECRET });
    await expect(fetch(`${door}/readyz`)).rejects.toThrow('fetch failed');
    await expect(call(recovering, 'server.getAll', {}, { token })).rejects.toMatchObject({
      code: INVALID_CREDENTIALS,
    });
    expect(recovering.allOutput).not.toContain(token);
  });

  test('is undone once the lost half is found', async () => {
    const backup = await exportBackup();
    await call(server, 'server.add', { host: 'xcp2', username: 'root', password: 'after it' });
    await server.terminate();
    const lost = await readHalfA();
    await xenstored.cli('rm', [HALF_A]);
    const recovering = await recover();
    expect((await importBackup(recovering, backup, PASSPHRASE)).status).toBe(0);
    await recovering.terminate();

    const archive = join(server.dataDir, archives()[0] ?? '');
    await xenstored.cli('write', [HALF_A, `${lost}\n${await readHalfA()}`]);
    const asked = await server.run(['restore-archive', archive]);
    const [, keyId = ''] = LINE.exec(lost) ?? [];
    expect([asked.status, asked.stderr]).toEqual([
      2,
      expect.stringMatching(new RegExp(`made by a holder of key ${keyId}.*\n.*\nNothing was done`)),
    ]);
    const before = await redisContents();
    const forged = await withPlaintext(archive);
    const refused = await server.run(['restore-archive', forged, '--yes']);
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/1 of its \d+ records are plaintext.*--allow-unprotected/),
    ]);
    expect(await redisContents()).toEqual(before);
    const restored = await server.run(['restore-archive', archive, '--yes']);
    expect([restored.status, restored.stderr]).toEqual([0, '']);
    await server.launch();
    expect(await call(server, 'server.getAll')).toMatchObject([{}, {}]);
    expect((await server.run(['verify'])).stdout).toContain('Sound');
  });

  // Of the import: before the old database is in the archive, while it is removed, when the new one begins and is written.
  test.each([
    ['DUMP', 1],
    ['UNLINK', 1],
    ['UNLINK', 3],
    ['SCRIPT', 1],
    ['SCRIPT', 6],
    ['SCRIPT', 12],
  ])(
    'killed at %s %i of its import begins again, and loses nothing',
    async (kind, n) => {
      const backup = await exportBackup();
      await server.terminate();
      const lost = await readHalfA();
      await xenstored.cli('rm', [HALF_A]);
      const target = { path: redis.socketPath as string };
      proxy = resources.use(
        await TcpProxy.start({ target, listenPath: folder.join('proxy.sock') }),
      );
      const recovering = await recover();
      let seen = 0;
      let isRemoving = false;
      proxy.intercept = async ({ direction, command }) => {
        if (direction !== 'request') return 'pass';
        isRemoving ||= command === 'UNLINK';
        // Scripts before the removal are those of locks and heartbeats.
        const isKind =
          kind === 'SCRIPT' ? isRemoving && command.startsWith('EVAL') : command === kind;
        if (!isKind || ++seen !== n) return 'pass';
        await recovering.kill();
        return 'cut';
      };
      const cut = await importBackup(recovering, backup, PASSPHRASE);
      expect({ status: cut.status, seen }).toEqual({ status: expect.any(Number), seen: n });
      expect(cut.status).not.toBe(0);
      proxy.intercept = undefined;

      const env = { VAULT_RECOVERY_PASSWORD: RECOVERY_PASSWORD };
      const again = resources.use(await prepare(['recover'], env));
      const [state] = await again
        .spawn()
        .waitForOutput(/^vault-server recovery on|nothing to recover/m, {
          limitMs: 40_000,
        });
      const isNeeded = state.includes('recovery on');
      const done = isNeeded ? await importBackup(again, backup, PASSPHRASE) : undefined;
      // None where the import had come so far that a start rolls it forward.
      expect([0, undefined]).toContain(done?.status);
      await again.stop();
      await server.launch();
      expect(await secretOf(server)).toMatchObject({ password: SECRET });
      expect((await server.run(['verify'])).stdout).toContain('Sound');
      expect(archives().length).toBeGreaterThan(0);
      // Both halves of the key that the archive is under are still to be had.
      const [, oldKeyId = ''] = LINE.exec(lost) ?? [];
      expect(readFileSync(halfBPath(), 'utf8')).toContain(`${oldKeyId}:`);
    },
    120_000,
  );

  test('comes with a start that has the variable, where no other command can be run', async () => {
    await server.terminate();
    rmSync(halfBPath());
    const recovering = await recover([]);
    expect(recovering.stderr).toContain('Only one encryption key half found');
  });

  test('is refused where it has no use, or no good password', async () => {
    await server.terminate();
    for (const [env, status, message] of [
      [{ VAULT_RECOVERY_PASSWORD: RECOVERY_PASSWORD }, 1, 'nothing to recover'],
      [{ VAULT_RECOVERY_PASSWORD: 'short' }, 2, 'at least 16'],
      [{ VAULT_RECOVERY_PASSWORD: '' }, 2, 'recovery password: expected one line'],
    ] as const) {
      server.setEnvironment(env);
      // oxlint-disable-next-line no-await-in-loop -- one server at a time has the port
      const refused = await server.run(['recover']);
      expect([refused.status, refused.stderr]).toEqual([status, expect.stringContaining(message)]);
    }
  });
});

describe('the recovery kit', () => {
  const kitPath = (): string => folder.join('kit.pgp');

  async function kit(...args: string[]): Promise<ProgramResult> {
    const file = folder.join('passphrase');
    writeFileSync(file, `${PASSPHRASE}\n`, { mode: 0o600 });
    return server.run(['recovery-kit', ...args, '--passphrase-file', file]);
  }
  async function status(): Promise<unknown> {
    return JSON.parse((await server.run(['status', '--json'])).stdout);
  }

  test('brings a lost half back, byte for byte, and gpg opens it', async () => {
    const created = await kit('create', '--output', kitPath());
    expect(created.stdout).toMatch(
      /Proven: with it alone the database was opened, and \w+ \S+ was read/,
    );
    expect(statSync(kitPath()).mode & 0o777).toBe(0o400);
    const opened = await gpg.decrypt(kitPath(), PASSPHRASE);
    expect(JSON.parse(opened.stdout)).toMatchObject({
      format: 'vault-recovery-kit',
      halfA: { source: 'xenstore', line: await readHalfA() },
      halfB: { source: 'file', line: readFileSync(halfBPath(), 'utf8').trim() },
    });
    expect(await status()).toMatchObject({
      database: { recoveryKit: { protection: 'passphrase', provenAt: expect.any(String) } },
    });
    expect((await kit('create', '--output', kitPath())).stderr).toContain('is there already');

    await server.terminate();
    const lost = await readHalfA();
    await xenstored.cli('rm', [HALF_A]);
    const corrupt = 'not a half';
    rmSync(halfBPath());
    writeFileSync(halfBPath(), corrupt, { mode: 0o400 });
    expect(await status()).toMatchObject({
      degraded: {
        details: { advice: expect.stringContaining('recovery-kit restore') },
      },
      halves: {
        diagnosis: [expect.stringContaining('missing'), expect.stringContaining('corrupt')],
      },
    });

    const client = redis.client();
    await client.set('vault:{meta}:lock', 'of another command', 'PX', 120_000);
    for (const more of [[], ['--unproven']]) {
      // oxlint-disable-next-line no-await-in-loop -- two processors
      const refused = await kit('restore', kitPath(), ...more);
      expect([refused.status, refused.stderr]).toEqual([1, expect.stringMatching(/lock/)]);
    }
    expect(readFileSync(halfBPath(), 'utf8')).toBe(corrupt);
    await client.del('vault:{meta}:lock');
    client.disconnect();

    const restored = await kit('restore', kitPath());
    expect(restored.stderr).toBe('');
    expect(await readHalfA()).toBe(lost);
    expect(readFileSync(`${halfBPath()}.corrupt-1`, 'utf8')).toBe(corrupt);
    await server.launch();
    expect(server.state).toBe('ready');
    expect(await secretOf(server)).toMatchObject({ password: SECRET });
    const output = [created, restored].map(({ stdout, stderr }) => stdout + stderr).join('');
    expect(server.allOutput + output).not.toMatch(/[0-9a-f]{64}/);
  });

  test('brings a half back while Redis is away, and says that nobody kept others out', async () => {
    await kit('create', '--output', kitPath());
    await server.terminate();
    const lost = await readHalfA();
    await xenstored.cli('rm', [HALF_A]);
    await redis.kill();
    expect((await kit('restore', kitPath())).status).toBe(1);
    const restored = await kit('restore', kitPath(), '--unproven');
    expect(restored.stdout).toMatch(/not proven[^]*Redis could not be asked/);
    expect(await readHalfA()).toBe(lost);
    await redis.restart();
    await server.launch();
    expect(server.state).toBe('ready');
  });

  test('is due again after a rotation, and the old one says why it does not fit', async () => {
    await kit('create', '--output', kitPath());
    await call(server, 'encryption.rotateKeys');
    expect(server.stderr).toContain('A new recovery kit is due');
    expect(await call(server, 'encryption.getStatus')).toMatchObject({ recoveryKit: null });
    const verified = await kit('verify', kitPath());
    expect(verified.status).toBe(1);
    expect(verified.stderr).toMatch(/key \w{16} alone does not open the database: .*key \w{16}/);
    await server.restart();
    expect(server.stderr).toContain('A new recovery kit is due');
  });

  test('is made for a public key, and proven by its holder', async () => {
    const recipient = folder.join('public.asc');
    writeFileSync(recipient, await gpg.createKey('operator@example.org'));
    const created = await server.run([
      'recovery-kit',
      'create',
      '--output',
      kitPath(),
      '--recipient',
      recipient,
    ]);
    expect(created.stdout).toContain('only the holder of the secret key can open');
    const { stdout: opened } = await gpg.decrypt(kitPath());
    const verified = await server.run(['recovery-kit', 'verify', '-'], opened);
    expect(verified.stdout).toContain('opens the database');
    expect(await status()).toMatchObject({
      database: { recoveryKit: { protection: 'public key' } },
    });
  });

  test('is not written over a file, nor without a good passphrase or recipient', async () => {
    for (const [args, message] of [
      [['create'], '--output'],
      [['create', '--output', 'x.pgp'], 'at least 12'],
      [['create', '--output', 'x.pgp', '--recipient', 'config.toml'], 'public key'],
      [['verify', 'missing.pgp'], 'ENOENT'],
      [['verify', 'config.toml'], 'cannot be read'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- two processors
      const refused = await server.run(['recovery-kit', ...args], 'too short\n');
      expect([refused.status, refused.stderr]).toEqual([
        expect.any(Number),
        expect.stringContaining(message),
      ]);
      expect(refused.status).not.toBe(0);
    }
    expect(existsSync(folder.join('x.pgp'))).toBe(false);
  });
});
