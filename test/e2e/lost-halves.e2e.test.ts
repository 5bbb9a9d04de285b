/** A half that is lost while the server runs, and a data folder that comes from another machine. */
import { afterEach, expect, test } from '@jest/globals';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Resources } from '../harness/resources.js';
import { VaultServer } from '../harness/vault-server.js';

const resources = new Resources();
afterEach(() => resources.stop());

test('a lost half is an error, in status and metrics, and is put back by the running server; a copy says that it is one', async () => {
  const server = resources.use(await VaultServer.prepare());
  const halfA = { source: 'file', path: join(server.folder, 'half-a') };
  server.configure({
    redis: { encryptCredentialDatabase: true },
    keystore: { halfA, halfB: { source: 'file' }, checkEvery: '1s' },
  });
  const machinePath = join(server.dataDir, 'vault-machine');
  const program = server.spawn();
  await program.waitForOutput(/^vault-server ready on /m);
  expect((await server.run(['keys', 'moved'])).stdout).toContain('nothing to accept');
  expect((await server.run(['keys', 'put-back'])).stdout).toContain('nothing to put back');

  const halfB = join(server.dataDir, 'vault-encryption-key');
  const before = readFileSync(halfB, 'utf8');
  rmSync(halfB);
  await program.waitForOutput(/ERROR A half of a key in use is not in its place any more/, {
    stream: 'stderr',
  });
  expect(server.stderr).toContain('vault-server keys put-back');
  const metrics = async (): Promise<string> => (await fetch(`${server.url}/metrics`)).text();
  expect(await metrics()).toContain('vault_key_halves_missing 1');
  expect((await server.run(['status'])).stdout).toMatch(/missing half +key [0-9a-f]{16} in half B/);
  // Nobody but the local socket may ask.
  const refused = await fetch(`${server.url}/local/keys/put-back`, { method: 'POST' });
  expect(refused.status).toBe(404);

  const { status, stdout } = await server.run(['keys', 'put-back']);
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: expect.stringMatching(/^The halves of key [0-9a-f]{16} are in their places again\.\n$/),
  });
  expect(readFileSync(halfB, 'utf8')).toBe(before);
  expect(await metrics()).toContain('vault_key_halves_missing 0');

  // As on a copy: what the file says is not this machine.
  await server.terminate();
  const known = JSON.parse(readFileSync(machinePath, 'utf8')) as object;
  const other = { ...known, machineId: '0'.repeat(32), networkCards: ['0'.repeat(32)] };
  writeFileSync(machinePath, JSON.stringify(other));
  await server.launch();
  expect(server.state).toBe('ready');
  const told = JSON.parse((await server.run(['status', '--json'])).stdout) as {
    database: { machine: { isCopy: boolean; differs: string[] } };
  };
  expect(told.database.machine).toMatchObject({ isCopy: true });
  expect(server.stderr).toContain(
    'This server is a copy: its data folder comes from another machine',
  );
  expect((await server.run(['keys', 'moved'])).stdout).toContain('From now on this machine');
  const after = JSON.parse((await server.run(['status', '--json'])).stdout) as typeof told;
  expect(after.database.machine).toBeNull();
  await server.terminate();
  const down = await server.run(['keys', 'put-back']);
  expect(down.status).toBe(1);
  expect(down.stderr).toContain('No server answers');
}, 60_000);
