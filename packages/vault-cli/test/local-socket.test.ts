/** The local socket of a server: named, registered, or found where a server of this machine has it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Resources } from '../../../test/harness/resources.js';
import { DATA_FOLDER } from '../../redis-store/src/files/data-folder.js';
import { SETTINGS } from '../../rpc-server/src/config/settings.js';
import { localSocketOf } from '../src/local-socket.js';
import { FakeServer, PASSWORD, TOKEN } from './support/fake-server.js';
import { CliRunner } from './support/run-cli.js';

const resources = new Resources();
let cli: CliRunner;
let server: FakeServer;
let path: string;
beforeEach(async () => {
  cli = resources.use(new CliRunner());
  mkdirSync(cli.folder.join('data'));
  path = cli.folder.join('data/vault.sock');
  server = resources.use(await FakeServer.startAt(path));
  server.methods['system.getVersion'] = () => '0.1';
});
afterEach(() => resources.stop());

const DONE = { status: 0, stderr: '', stdout: '0.1\n' };

describe('a local socket', () => {
  it.each([
    ['--socket and its path', () => ['--socket', path]],
    ['--socket and a path from here', () => ['--socket', 'data/vault.sock']],
    ['a unix URL', () => ['--url', `unix:${path}`]],
  ])('is used where it is named by %s', async (_, options) => {
    expect(await cli.run([...options(), 'system.getVersion'])).toMatchObject(DONE);
  });

  it('is used where no server is registered, and a server of this machine has it', async () => {
    const env = { VAULT_DATADIR: cli.folder.join('data') };
    expect(await cli.run(['system.getVersion'], { env })).toMatchObject(DONE);
    const named = { VAULT_HTTP_SOCKET: path };
    expect(await cli.run(['system.getVersion'], { env: named })).toMatchObject(DONE);
  });

  it('is not used where it is no socket', async () => {
    mkdirSync(cli.folder.join('other'));
    writeFileSync(cli.folder.join('other/vault.sock'), '');
    const env = { VAULT_DATADIR: cli.folder.join('other') };
    const { status, stderr } = await cli.run(['system.getVersion'], { env });
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: expect.stringContaining('no server is registered'),
    });
  });

  it('gives way to a server that is registered, named, or in VAULT_URL', async () => {
    const other = resources.use(await FakeServer.start());
    other.methods['system.getVersion'] = () => 'of the other';
    const env = { VAULT_DATADIR: cli.folder.join('data') };
    const ofOther = { status: 0, stdout: 'of the other\n' };
    const args = ['system.getVersion'];
    expect(await cli.run(['--url', other.url, ...args], { env })).toMatchObject(ofOther);
    expect(await cli.run(args, { env: { ...env, VAULT_URL: other.url } })).toMatchObject(ofOther);
    await cli.run(['register', other.url, 'admin'], { input: PASSWORD });
    expect(await cli.run(args, { env })).toMatchObject(ofOther);
    expect(server.calls).toEqual([]);
  });

  it('wants a sign-in like any other way', async () => {
    const args = ['--socket', path, '--user', 'admin', 'system.getVersion'];
    expect(await cli.run(args, { input: PASSWORD })).toMatchObject(DONE);
    expect(server.calledMethods).toEqual(['session.signIn', 'system.getVersion']);
    expect(await cli.run(args, { input: 'wrong' })).toMatchObject({ status: 3 });
    const env = { VAULT_CLI_TOKEN: TOKEN };
    expect(await cli.run(['--socket', path, 'system.getVersion'], { env })).toMatchObject(DONE);
    expect(server.paramsOf('session.signIn')).toEqual({ token: TOKEN });
  });

  it('can be registered', async () => {
    const registered = await cli.run(['register', `unix:${path}`, 'admin'], { input: PASSWORD });
    expect(registered).toMatchObject({
      status: 0,
      stderr: `Signed in as admin\nRegistered unix:${path}\n`,
    });
    expect(await cli.run(['system.getVersion'])).toMatchObject(DONE);
    expect(server.paramsOf('session.signIn')).toEqual({ token: TOKEN });
  });

  it('carries downloads and uploads', async () => {
    server.methods['system.exportConfig'] = () => ({ $getFrom: '/api/one-time/1' });
    server.methods['system.importConfig'] = () => ({ $sendTo: '/api/one-time/2' });
    let received = '';
    server.pages['/api/one-time/1'] = (_request, response) => response.end('all of it');
    server.pages['/api/one-time/2'] = (request, response) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk.toString();
      });
      request.on('end', () => response.end('true'));
    };
    const at = ['--socket', path];
    const target = cli.folder.join('backup');
    expect(await cli.run([...at, 'system.exportConfig', `@=${target}`])).toMatchObject({
      status: 0,
    });
    expect(readFileSync(target, 'utf8')).toBe('all of it');
    expect(await cli.run([...at, 'system.importConfig', `@=${target}`])).toMatchObject({
      status: 0,
    });
    expect(received).toBe('all of it');
  });
});

describe('a local socket that cannot be used', () => {
  it('is said to be missing', async () => {
    const absent = cli.folder.join('absent.sock');
    const { status, stderr } = await cli.run(['--socket', absent, 'a.b']);
    expect(status).toBe(5);
    expect(stderr).toContain(`cannot connect to unix:${absent}: there is no such socket`);
  });

  it('is said to be left by a server that is gone', async () => {
    writeFileSync(cli.folder.join('file'), '');
    const { status, stderr } = await cli.run(['--socket', cli.folder.join('file'), 'a.b']);
    expect(status).toBe(5);
    expect(stderr).toMatch(/nothing listens there any more|it is no socket/);
  });

  it('is not to be named together with a URL, nor beside the arguments of register', async () => {
    const both = await cli.run(['--socket', path, '--url', 'http://127.0.0.1:1', 'a.b']);
    expect(both).toMatchObject({ status: 2, stderr: expect.stringContaining('not both') });
    const register = await cli.run(['register', '--socket', path, 'http://127.0.0.1:1', 'admin']);
    expect(register).toMatchObject({ status: 2, stderr: expect.stringContaining('unix:/path') });
  });
});

it('is looked for where the server puts it', () => {
  const { name } = DATA_FOLDER.localSocket;
  expect(localSocketOf({})).toBe(`${SETTINGS.datadir.default}/${name}`);
  expect(localSocketOf({ VAULT_DATADIR: '/d', VAULT_HTTP_SOCKET: '' })).toBe('/d/vault.sock');
  expect(localSocketOf({ VAULT_DATADIR: '/d', VAULT_HTTP_SOCKET: '/s' })).toBe('/s');
});
