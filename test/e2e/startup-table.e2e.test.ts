/**
 * The startup table of the design, row by row: the real server, Redis and XenStore. An encrypted database whose halves
 * are missing, foreign, corrupt or unreadable is in degraded.e2e.test.ts; a start without configuration in the tests
 * of the commands.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeyHalf, VaultKey } from '@vault/crypto';
import { DEGRADED_MESSAGES, type DegradedReason } from '@vault/redis-store';
import { Resources } from '../harness/resources.js';
import { VaultCli } from '../harness/vault-cli.js';
import { TEST_ADMIN, VaultServer } from '../harness/vault-server.js';
import { VaultSite, type SavedSite } from '../harness/vault-site.js';

const HOSTS = ['xcp1.example.org', 'xcp2.example.org', 'xcp3.example.org'];
const FOREIGN_LINE = `0123456789abcdef:${'5a'.repeat(32)}`;
/** An index more: a change of definitions, which an encrypted database makes as a rekey under the same key. */
const MORE_INDEXES = {
  collections: { server: { indexes: { byLabel: { fields: ['label', 'host'] } } } },
};

// Many starts of real programs, on a machine that may be busy.
jest.setTimeout(180_000);

const resources = new Resources();
let site: VaultSite;
let cli: VaultCli;
let plaintext: SavedSite;
let encrypted: SavedSite;
let backup: string;

beforeAll(async () => {
  site = resources.use(await VaultSite.prepare());
  cli = resources.use(new VaultCli());
  await site.start(false);
  await site.signedIn(async (call) => {
    for (const host of HOSTS) {
      await call('server.add', {
        host,
        username: 'root',
        password: `pass of ${host}`,
        label: 'lab',
      });
    }
  });
  backup = cli.folder.join('backup.json');
  await callWithCli('system.exportConfig', `@=${backup}`);
  await site.server.terminate();
  plaintext = await site.save();
  await site.start(true);
  await site.server.terminate();
  encrypted = await site.save();
});
afterAll(() => resources.stop());
afterEach(async () => {
  site.proxy.reset();
  if (site.server.isRunning) await site.server.terminate();
  site.server.configure({ collections: {} });
});

async function callWithCli(...args: readonly string[]): Promise<string> {
  const { email, password } = TEST_ADMIN;
  return cli.succeed(['--url', site.server.url, '--user', email, ...args], `${password}\n`);
}

/** Serves every record, in the state that the setting asks for, and nothing is wrong with any. */
async function expectServing(state: 'encrypted' | 'plaintext'): Promise<void> {
  if (site.server.state !== 'ready') throw new Error(site.server.stderr);
  await site.signedIn(async (call) => {
    const hosts = HOSTS.map((host) => ({ host, label: 'lab' }));
    expect(await call('server.getAll', { filter: { username: 'ROOT' } })).toHaveLength(3);
    const all = (await call('server.getAll')) as readonly { id: string; host: string }[];
    expect(all.toSorted((a, b) => a.host.localeCompare(b.host))).toMatchObject(hosts);
    for (const { id, host } of all) {
      expect(await call('server.reveal', { id })).toMatchObject({ password: `pass of ${host}` });
    }
    expect(await call('encryption.getStatus')).toMatchObject({ state });
    expect(await call('encryption.verify')).toMatchObject({ isSound: true });
  });
  const { redis, files } = await site.save();
  expect(JSON.stringify(redis).includes('xcp1.example.org')).toBe(state === 'plaintext');
  // The backup of a migration goes with its success.
  expect(files.filter(([path]) => path.startsWith('encryption-backup'))).toEqual([]);
}

async function expectDegraded(reason: DegradedReason, before: SavedSite): Promise<void> {
  const { server } = site;
  expect(server.state).toBe('degraded');
  expect(server.stderr).toContain(`vault:crypto-credentials ERROR ${DEGRADED_MESSAGES[reason]} {`);
  const ready = await fetch(`${server.url}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([503, { mode: 'degraded', reason }]);
  await expect(site.call('server.getAll')).rejects.toMatchObject({ code: -32001 });
  expect(await site.save()).toEqual(before);
}

const readHalfB = (): string => readFileSync(site.halfBPath, 'utf8').trimEnd();
const linesOf = (value: string | undefined): string[] => value?.split('\n') ?? [];

describe('encryption on, over a plaintext database', () => {
  beforeEach(() => site.restore(plaintext));

  test.each<[string, string | undefined, string | undefined]>([
    ['no half', undefined, undefined],
    ['half A only', FOREIGN_LINE, undefined],
    ['half B only', undefined, FOREIGN_LINE],
    ['halves that are no pair', FOREIGN_LINE, FOREIGN_LINE.replace('0123', '3210')],
  ])('%s: a new pair is appended, what is there stays, and all is encrypted', async (_, a, b) => {
    await site.writeHalfA(a);
    site.writeHalfB(b);
    await site.start(true);
    await expectServing('encrypted');
    const [linesA, linesB] = [linesOf(await site.readHalfA()), linesOf(readHalfB())];
    expect(linesA.slice(0, -1)).toEqual(linesOf(a));
    expect(linesB.slice(0, -1)).toEqual(linesOf(b));
    // Both new lines are labelled with the id of the one new key.
    expect(linesA.at(-1)?.slice(0, 17)).toBe(linesB.at(-1)?.slice(0, 17));
  });

  test('a corrupt half is copied aside, then a new pair is written', async () => {
    site.writeHalfB('not a half');
    await site.start(true);
    await expectServing('encrypted');
    const aside = readdirSync(site.server.dataDir).filter((name) =>
      name.startsWith('vault-encryption-key.'),
    );
    const contents = aside.map((name) => readFileSync(join(site.server.dataDir, name), 'utf8'));
    expect(contents).toEqual(['not a half']);
  });

  test.each<[string, string | undefined, string | Buffer | undefined]>([
    ['both halves', 'c1'.repeat(32), Buffer.from('d2'.repeat(32), 'hex')],
    ['half A only', 'c1'.repeat(32), undefined],
    ['half B only', undefined, Buffer.from('d2'.repeat(32), 'hex')],
  ])('another system’s key in %s: degraded, nothing written', async (_, a, b) => {
    await site.writeHalfA(a);
    site.writeHalfB(b);
    const before = await site.save();
    await site.start(true);
    await expectDegraded('encryptionFailed', before);
    expect(site.server.stderr).toMatch(/another system.*s key stands in half [AB]/);
    await site.server.terminate();
    await site.start(false);
    await expectServing('plaintext');
    const after = await site.save();
    const halves = ({ halfA, files }: SavedSite): unknown => [
      halfA,
      files.filter(([path]) => path.startsWith('vault-encryption-key')),
    ];
    expect(halves(after)).toEqual(halves(before));
  });

  test('both right: that pair is used', async () => {
    const [a, b] = ['1a'.repeat(32), '2b'.repeat(32)];
    const { id } = VaultKey.derive(KeyHalf.fromHex(a), KeyHalf.fromHex(b));
    await site.writeHalfA(`${id}:${a}`);
    site.writeHalfB(`${id}:${b}\n`);
    await site.start(true);
    await expectServing('encrypted');
    expect(await site.readHalfA()).toBe(`${id}:${a}`);
    expect(readHalfB()).toBe(`${id}:${b}`);
    expect(await site.call('encryption.getStatus')).toMatchObject({ activeKeyId: id });
  });

  test('an unreadable half: degraded, nothing generated', async () => {
    site.writeHalfB(FOREIGN_LINE);
    chmodSync(site.halfBPath, 0o444);
    const before = await site.save();
    await site.start(true);
    await expectDegraded('encryptionFailed', before);
    expect(site.server.stderr).toMatch(/diagnosis: \[[^\]]*is unreadable/);
  });
});

describe('a migration that was killed', () => {
  const encryptingAt = /"state":"encrypting".*"isBackedUp":true/;
  const decryptingAt = /"state":"decrypting".*"isBackedUp":true/;

  test.each<[string, SavedSite | 'plaintext' | 'encrypted', boolean, RegExp, boolean]>([
    ['encrypting, still on: encrypted', 'plaintext', true, encryptingAt, true],
    ['encrypting, now off: decrypted', 'plaintext', true, encryptingAt, false],
    ['scrubbing, still on: encrypted', 'plaintext', true, /"state":"scrubbing"/, true],
    ['scrubbing, now off: decrypted', 'plaintext', true, /"state":"scrubbing"/, false],
    ['decrypting, still off: decrypted', 'encrypted', false, decryptingAt, false],
    ['decrypting, now on: encrypted', 'encrypted', false, decryptingAt, true],
  ])('%s', async (_, from, setting, killedAt, nextSetting) => {
    await site.restore(from === 'plaintext' ? plaintext : encrypted);
    await site.startAndKillAt(setting, killedAt);
    expect(await site.readSeal()).toMatch(killedAt);
    await site.start(nextSetting);
    await expectServing(nextSetting ? 'encrypted' : 'plaintext');
  });

  test('rekeying: finished beside serving, and waited for', async () => {
    await site.restore(encrypted);
    await site.startAndKillAt(true, /"state":"rekeying"/, MORE_INDEXES);
    await site.start(true, MORE_INDEXES);
    await expectServing('encrypted');
  });

  test.each([true, false])('importing, encryption %s: finished', async (isOn) => {
    await site.restore(isOn ? encrypted : plaintext);
    await site.start(isOn);
    await site.call('server.remove', { id: await idOfFirst() });
    await site.killAt(/"importing":\{/, () => {
      // Its connection ends with the server.
      void callWithCli('system.importConfig', 'allowUnprotected=true', `@=${backup}`).catch(
        () => undefined,
      );
    });
    await site.start(isOn);
    await expectServing(isOn ? 'encrypted' : 'plaintext');
  });

  test('decrypted, with the lines of the retired key still there: they go', async () => {
    await site.restore(encrypted);
    site.writeHalfB(`${FOREIGN_LINE}\n${readHalfB()}\n`);
    await site.startAndKillAt(false, /"state":"plaintext"/);
    expect(linesOf(readHalfB())).toHaveLength(2);
    await site.start(false);
    await expectServing('plaintext');
    // Lines of other keys are left alone.
    expect(linesOf(readHalfB())).toEqual([FOREIGN_LINE]);
    expect(await site.readHalfA()).toBeUndefined();
  });
});

async function idOfFirst(): Promise<string> {
  const [first] = (await site.call('server.getAll', { filter: { host: HOSTS[0] } })) as [
    { id: string },
  ];
  return first.id;
}

describe('encryption on, over an encrypted database', () => {
  beforeEach(() => site.restore(encrypted));

  test('both right: it serves, and nothing was written', async () => {
    await site.start(true);
    expect(await site.save()).toEqual(encrypted);
    await expectServing('encrypted');
  });

  test.each([
    ['missing', ''],
    ['not its own', '{"v":1,"state":"plaintext"}\n-'],
  ])('the seal is %s, witness and partitions agree: sealed anew', async (_, seal) => {
    await site.writeSeal(seal);
    await site.start(true);
    await expectServing('encrypted');
    expect(site.server.stderr).toContain('The seal was not right and was made again');
  });

  test('another live server runs with encryption off: degraded, nothing written', async () => {
    await site.start(true);
    const second = resources.use(
      await VaultServer.prepare({
        env: { XENSTORED_PATH: site.xenstored.socketPath },
        config: {
          ...site.encryption(false),
          keystore: {
            halfA: { source: 'xenstore', path: 'vm-data/vault-encryption-key' },
            halfB: { source: 'file', path: site.halfBPath },
          },
        },
      }),
    );
    await second.launch();
    expect(second.state).toBe('degraded');
    expect(second.stderr).toContain(`ERROR ${DEGRADED_MESSAGES.oppositeSetting} { cause: `);
    await expectServing('encrypted');
  });
});

describe('encryption off', () => {
  test('over an encrypted database with both halves: decrypted, and the halves are gone', async () => {
    await site.restore(encrypted);
    await site.start(false);
    await expectServing('plaintext');
    expect(await site.readHalfA()).toBeUndefined();
    expect(readdirSync(site.server.dataDir)).not.toContain('vault-encryption-key');
  });

  test.each<[string, string | undefined, string]>([
    ['foreign halves', FOREIGN_LINE, FOREIGN_LINE],
    ['one half', undefined, FOREIGN_LINE],
    ['a corrupt half', FOREIGN_LINE, 'not a half'],
  ])('over a plaintext database with %s: serves, warns once, leaves them', async (_, a, b) => {
    await site.restore(plaintext);
    await site.writeHalfA(a);
    site.writeHalfB(b);
    await site.start(false);
    await expectServing('plaintext');
    const warnings = site.server.stderr.match(/WARN Encryption is off, and there are key halves/g);
    expect(warnings).toHaveLength(1);
    expect([await site.readHalfA(), readHalfB()]).toEqual([a, b]);
  });
});

describe('without a word on encryption', () => {
  test('a database that was switched on by the line is decrypted when the line goes', async () => {
    await site.restore(encrypted);
    await site.start(undefined);
    await expectServing('plaintext');
    expect(await site.readHalfA()).toBeUndefined();
    expect(site.server.stderr).toMatch(
      /WARN Encryption is off: credentials are stored in plaintext/,
    );
  });

  test('one that was made encrypted stays so; pinned, it takes a confirmation beside the line', async () => {
    const { server } = site;
    await site.restore({ redis: [], files: [], halfA: undefined });
    await site.start(true);
    await callWithCli('system.importConfig', 'allowUnprotected=true', `@=${backup}`);
    await server.terminate();
    await site.start(undefined);
    await expectServing('encrypted');
    expect(server.stderr).toMatch(
      /WARN The setting of encryption is absent: .*made encrypted stays/,
    );

    expect(await server.run(['pin-encrypted'])).toMatchObject({ status: 0, stderr: '' });
    await server.restart(site.encryption(false));
    await expectServing('encrypted');
    expect(server.stderr).toMatch(/ERROR The database is pinned: .* vault-server confirm-decrypt/s);

    expect((await server.run(['confirm-decrypt'])).status).toBe(2);
    expect(await server.run(['confirm-decrypt', '--yes'])).toMatchObject({ status: 0, stderr: '' });
    await server.restart();
    await expectServing('plaintext');
  });
});

describe('a database that is not the one the server knows', () => {
  test('of a newer layout: degraded', async () => {
    await site.restore(encrypted);
    await site.writeSeal((await site.readSeal()).replace('"v":1', '"v":2'));
    const before = await site.save();
    await site.start(true);
    await expectDegraded('newerLayout', before);
  });

  test.each([true, false])('another database id, encryption %s: degraded', async (isOn) => {
    await site.restore(plaintext);
    const seal = await site.readSeal();
    const [databaseId = ''] = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(seal) ?? [];
    await site.writeSeal(seal.replace(databaseId, databaseId.replace(/^.{8}/, '01234567')));
    const before = await site.save();
    await site.start(isOn);
    await expectDegraded('foreignDatabase', before);
  });

  test('rolled back to before it was encrypted: degraded, until it is accepted', async () => {
    await site.restore({ ...encrypted, redis: plaintext.redis });
    const before = await site.save();
    await site.start(true);
    await expectDegraded('foreignDatabase', before);

    await site.server.terminate();
    expect((await site.server.run(['accept-database'])).status).toBe(2);
    expect(await site.save()).toEqual(before);
    const refused = await site.server.run(['accept-database', '--yes']);
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/ records in Redis are plaintext.*--allow-unprotected/),
    ]);
    expect(await site.save()).toEqual(before);
    const accepted = await site.server.run(['accept-database', '--yes', '--allow-unprotected']);
    expect([accepted.status, accepted.stderr]).toEqual([0, '']);
    await site.start(true);
    await expectServing('encrypted');
  });

  test('a damaged witness: degraded', async () => {
    await site.restore(encrypted);
    writeFileSync(join(site.server.dataDir, 'vault-state'), '{"v":1');
    const before = await site.save();
    await site.start(true);
    await expectDegraded('foreignDatabase', before);
  });
});

test('a Redis that refuses everything, which no row names: degraded with that cause', async () => {
  await site.restore(encrypted);
  await site.redis.client().config('SET', 'maxmemory', '1');
  const before = await site.save();
  await site.start(true);
  expect(site.server.stderr).toMatch(
    /vault:crypto-credentials ERROR .* - running in degraded mode \{/,
  );
  expect(site.server.state).toBe('degraded');
  expect(await site.save()).toEqual(before);
  await site.redis.client().config('SET', 'maxmemory', '0');
  await site.server.restart();
  await expectServing('encrypted');
});
