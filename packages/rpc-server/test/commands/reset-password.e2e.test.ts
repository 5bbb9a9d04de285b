/** A password that is reset on the machine of the server. Reads `dist`: build first. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, jest } from '@jest/globals';
import { Resources } from '../../../../test/harness/resources.js';
import { TEST_ADMIN, VaultServer } from '../../../../test/harness/vault-server.js';
import { VaultSite } from '../../../../test/harness/vault-site.js';
import { RpcClient } from '../rpc-client.js';

// Several starts of a process each, on a machine that may be busy.
jest.setTimeout(90_000);

const CONFIG = { redis: { encryptCredentialDatabase: true } };
const { email } = TEST_ADMIN;
const SIGNED_OUT = 4001;
const INVALID = { code: 3, message: 'invalid credentials' };

const resources = new Resources();
afterEach(() => resources.stop());

async function signedIn(server: VaultServer, credentials: object): Promise<RpcClient> {
  const client = await RpcClient.connect(server.url);
  resources.use({ stop: async () => client.socket.terminate() });
  await client.call('session.signIn', credentials);
  return client;
}

async function reset(server: VaultServer, ...options: string[]): Promise<string> {
  const { status, stdout } = await server.run(['reset-password', email, ...options]);
  expect(status).toBe(0);
  return /^ {2}password {2}(\S{24})$/m.exec(stdout)?.[1] ?? '';
}

it('gives a new password beside the running server, and ends tokens and sessions', async () => {
  const server = resources.use(await VaultServer.start({ config: CONFIG }));
  const byPassword = await signedIn(server, TEST_ADMIN);
  const token = await byPassword.call('token.create');
  const byToken = await signedIn(server, { token });
  await byPassword.call('user.create', { email: 'other', password: 'long enough' });
  const other = await signedIn(server, { email: 'other', password: 'long enough' });

  const password = await reset(server);
  expect(password).toHaveLength(24);
  expect(await byPassword.closed).toBe(SIGNED_OUT);
  expect(await byToken.closed).toBe(SIGNED_OUT);
  expect(await other.call('session.getUser')).toMatchObject({ email: 'other' });

  await expect(signedIn(server, { token })).rejects.toMatchObject(INVALID);
  const administrator = await signedIn(server, { email, password });
  expect(await administrator.call('session.getUser')).toMatchObject({ permission: 'admin' });
  await expect(signedIn(server, TEST_ADMIN)).rejects.toMatchObject(INVALID);
  expect(server.allOutput).not.toContain(password);
});

async function setOneTimeSecret(client: RpcClient): Promise<void> {
  const { id } = await client.call<{ id: string }>('session.getUser');
  const currentPassword = TEST_ADMIN.password;
  await client.call('user.set', { id, otpSecret: 'JBSWY3DPEHPK3PXP', currentPassword });
}

it('works while no server runs, and leaves one-time passwords on until it is told otherwise', async () => {
  const server = resources.use(await VaultServer.start({ config: CONFIG }));
  const client = await signedIn(server, TEST_ADMIN);
  await setOneTimeSecret(client);
  await server.terminate();
  const first = await server.run(['reset-password', email.toUpperCase(), '--json']);
  const { password: needsCode } = JSON.parse(first.stdout) as { password: string };
  const needsNoCode = await reset(server, '--without-otp');
  const log = readFileSync(join(server.dataDir, 'redis', 'redis.log'), 'utf8');
  expect(log.trimEnd().split('\n').at(-1)).toMatch(/bye bye/);

  await server.launch();
  await signedIn(server, { email, password: needsNoCode });
  await expect(signedIn(server, { email, password: needsCode })).rejects.toMatchObject(INVALID);
});

it('removes the file with the first password once another takes its place', async () => {
  const env = { VAULT_ADMIN_EMAIL: email, VAULT_ADMIN_PASSWORD: '' };
  const server = resources.use(await VaultServer.start({ config: CONFIG, env }));
  const file = join(server.dataDir, 'initial-password');
  const first = readFileSync(file, 'utf8').trimEnd();
  const administrator = await signedIn(server, { email, password: first });
  await administrator.call('user.create', { email: 'other', password: 'long enough' });
  await server.run(['reset-password', 'other']);
  expect(readFileSync(file, 'utf8').trimEnd()).toBe(first);
  const { stdout } = await server.run(['reset-password', email]);
  expect(stdout).toContain('The file initial-password with the former one was removed.');
  expect(() => readFileSync(file)).toThrow('ENOENT');
});

it('says that a one-time password is still asked for', async () => {
  const server = resources.use(await VaultServer.start({ config: CONFIG }));
  const client = await signedIn(server, TEST_ADMIN);
  await setOneTimeSecret(client);
  const { stdout } = await server.run(['reset-password', email]);
  expect(stdout).toContain('A one-time password is asked for as before');
  const password = /password {2}(\S+)/.exec(stdout)?.[1];
  await expect(signedIn(server, { email, password })).rejects.toMatchObject(INVALID);
});

it('changes nothing and shows nothing for a name that nobody has', async () => {
  const server = resources.use(await VaultServer.start({ config: CONFIG }));
  const { status, stdout, stderr } = await server.run(['reset-password', 'nobody']);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toContain('there is no user "nobody"');
  await signedIn(server, TEST_ADMIN);
});

it('refuses, makes no key and writes nothing while a half is missing', async () => {
  const server = resources.use(await VaultServer.start({ config: CONFIG }));
  await server.terminate();
  const half = join(server.dataDir, 'vault-encryption-key');
  rmSync(half);
  const { status, stdout, stderr } = await server.run(['reset-password', email]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toContain('Only one encryption key half found - running in degraded mode');
  expect(() => readFileSync(half)).toThrow('ENOENT');
});

it('does not write into a database whose migration was cut short', async () => {
  const site = resources.use(await VaultSite.prepare());
  await site.start(false);
  await site.server.terminate();
  await site.startAndKillAt(true, /"state":"encrypting"/);
  const before = (await site.save()).redis;
  const { status, stdout, stderr } = await site.server.run(['reset-password', email]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toContain('a migration is under way (encrypting)');
  expect((await site.save()).redis).toEqual(before);
  await site.start(true);
  await signedIn(site.server, TEST_ADMIN);
});
