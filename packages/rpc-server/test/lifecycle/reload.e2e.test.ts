/** SIGHUP: what a running server takes over of its configuration. Reads `dist`: build first. */
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { afterEach, expect, it, jest } from '@jest/globals';
import { stringify } from 'smol-toml';
import type { TomlTable } from 'smol-toml';
import { Resources } from '../../../../test/harness/resources.js';
import { TlsFiles } from '../../../../test/harness/tls.js';
import { VaultServer } from '../../../../test/harness/vault-server.js';

// Several starts of a process each, on a machine that may be busy.
jest.setTimeout(120_000);

const ENCRYPTED = { redis: { encryptCredentialDatabase: true } };
const resources = new Resources();
afterEach(() => resources.stop());

/** Sends SIGHUP, and waits for the line that says what came of it; there may be some from before. */
async function reload(server: VaultServer): Promise<string> {
  const before = reloads(server).length;
  process.kill(server.pid, 'SIGHUP');
  while (reloads(server).length === before) {
    // oxlint-disable-next-line no-await-in-loop -- each answer is a turn of the event loop of both
    await fetch(server.url);
  }
  return reloads(server).at(-1) ?? '';
}
const reloads = (server: VaultServer): string[] =>
  server.stderr.split('\n').filter((line) => /configuration was (not )?reloaded/.test(line));

it('takes over level and schedules, names what needs a restart, and refuses what is broken', async () => {
  const server = resources.use(await VaultServer.start({ config: ENCRYPTED }));
  const text = readFileSync(server.configPath, 'utf8');
  const write = (more: TomlTable): void => writeFileSync(server.configPath, text + stringify(more));

  write({ log: { level: 'debug' }, limits: { batchCalls: 3 } });
  expect(await reload(server)).toContain("applied: [ 'log.level' ]");
  expect(server.stderr).toMatch(
    /WARN These settings changed, and need a restart \{ settings: \[ 'limits.batchCalls' \] \}/,
  );

  const folder = join(server.folder, 'exports');
  const passphraseFile = join(server.folder, 'passphrase');
  writeFileSync(passphraseFile, 'correct horse battery staple\n', { mode: 0o600 });
  write({ backup: { exportFolder: folder, passphraseFile } });
  expect(await reload(server)).toMatch(/applied: \[ .*'backup.exportFolder'/);
  while (!server.stderr.includes('scheduled config backup written')) {
    // oxlint-disable-next-line no-await-in-loop -- as above
    await fetch(server.url);
  }
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/\.pgp$/)]);

  for (const broken of [
    'no = toml = at all',
    '[log]\nlevel = "loud"',
    '[keystore]\nhalfA = { source = "fil" }',
  ]) {
    writeFileSync(server.configPath, `${text}\n${broken}\n`);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect(await reload(server)).toMatch(/ERROR The configuration was not reloaded \{ cause: '/);
  }
  expect(await (await fetch(`${server.url}/readyz`)).json()).toEqual({ mode: 'serving' });
  expect(await server.terminate()).toEqual({ status: 0, signal: null });
});

it('takes over a certificate without cutting a connection, and no broken one', async () => {
  const first = resources.use(await TlsFiles.create());
  const second = resources.use(await TlsFiles.create());
  const server = resources.use(await VaultServer.prepare({ config: ENCRYPTED }));
  const [cert, key] = [join(server.folder, 'cert.pem'), join(server.folder, 'key.pem')];
  const put = ({ serverCertFile, serverKeyFile }: TlsFiles): void => {
    copyFileSync(serverCertFile, cert);
    copyFileSync(serverKeyFile, key);
  };
  put(first);
  server.configure({ http: { listen: new URL(server.url).host, cert, key } });
  await server.launch();
  const port = Number(new URL(server.url).port);
  const open = async (): Promise<TLSSocket> => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return socket;
  };
  const fingerprint = async (): Promise<string> => {
    const socket = await open();
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  const old = await open();
  const before = await fingerprint();

  put(second);
  process.kill(server.pid, 'SIGHUP');
  // oxlint-disable-next-line no-await-in-loop -- asked until it is another
  while ((await fingerprint()) === before);
  const after = await fingerprint();
  old.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  expect(String((await once(old, 'data'))[0])).toContain('200 OK');
  old.destroy();

  copyFileSync(first.serverKeyFile, key);
  process.kill(server.pid, 'SIGHUP');
  while (!server.stderr.includes('are no certificate with its key')) {
    // oxlint-disable-next-line no-await-in-loop -- asked until it is said
    expect(await fingerprint()).toBe(after);
  }
  const status = await server.run(['status']);
  expect(status.stdout).toMatch(/mode +serving/);
  expect(await server.terminate()).toEqual({ status: 0, signal: null });
});

it('does not end a server that is still starting, or degraded', async () => {
  const redis = { encryptCredentialDatabase: true, url: 'redis://127.0.0.1:1' };
  const server = resources.use(await VaultServer.start({ config: { redis } }));
  expect(server.state).toBe('degraded');
  while (reloads(server).length === 0) {
    process.kill(server.pid, 'SIGHUP');
    // oxlint-disable-next-line no-await-in-loop -- asked until it is said
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  }
});
