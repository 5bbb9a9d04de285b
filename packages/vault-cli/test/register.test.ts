import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { Resources } from '../../../test/harness/resources.js';
import { FakeServer, PASSWORD, TOKEN, USER, WireError } from './support/fake-server.js';
import { CliRunner } from './support/run-cli.js';

interface StoredConfig {
  readonly clientId: string;
}

/** Each test starts programs, on a machine that may be busy. */
jest.setTimeout(30_000);

const resources = new Resources();
let server: FakeServer;
let cli: CliRunner;
beforeEach(async () => {
  server = resources.use(await FakeServer.start());
  cli = resources.use(new CliRunner());
});
afterEach(() => resources.stop());

const call = () => cli.run(['system.getVersion']);

const readConfig = () => JSON.parse(readFileSync(cli.configPath, 'utf8')) as StoredConfig;

describe('register', () => {
  it('signs in, gets a token and remembers it in a private file', async () => {
    const result = await cli.run(['register', '--expiresIn', '2 days', server.url, 'admin'], {
      input: `${PASSWORD}\n`,
    });
    expect(result).toMatchObject({ status: 0, stdout: '' });
    expect(result.stderr).toContain('Signed in as admin');
    expect(readConfig()).toEqual({
      allowUnauthorized: false,
      clientId: expect.stringMatching(/^[0-9a-f]{16}$/),
      server: server.url,
      token: TOKEN,
    });
    expect(statSync(cli.configPath).mode & 0o777).toBe(0o600);
    expect(statSync(cli.folder.join('config/vault-cli')).mode & 0o777).toBe(0o700);
    expect(server.paramsOf('token.create')).toEqual({
      client: { id: readConfig().clientId },
      description: expect.stringMatching(/^vault-cli@\d+\.\d+\.\d+ - .+ - Linux \S+$/),
      expiresIn: '2 days',
    });
  });

  it('takes options behind the operands too, the password as an argument, and a one-time password', async () => {
    const { status } = await cli.run([
      'register',
      server.url,
      'admin',
      PASSWORD,
      '--otp',
      '123456',
      '--expiresIn',
      '1h',
    ]);
    expect(status).toBe(0);
    expect(server.paramsOf('session.signIn')).toEqual({
      email: 'admin',
      otp: '123456',
      password: PASSWORD,
    });
    expect(server.paramsOf('token.create')).toMatchObject({ expiresIn: '1h' });
  });

  it('names the same client when it registers again', async () => {
    await cli.run(['register', server.url, 'admin', PASSWORD]);
    const first = readConfig().clientId;
    await cli.run(['unregister']);
    expect(readConfig()).toEqual({ allowUnauthorized: false, clientId: first });
    await cli.run(['register', server.url, 'admin', PASSWORD]);
    expect(readConfig().clientId).toBe(first);
  });

  it('remembers a given token without contacting anybody', async () => {
    const { status } = await cli.run(['register', '--token', '-', server.url], {
      input: `${TOKEN}\n`,
    });
    expect(status).toBe(0);
    expect(readConfig()).toMatchObject({ server: server.url, token: TOKEN });
    expect(server.calls).toEqual([]);
  });

  it.each([
    ['password', (url: string) => [url, 'admin']],
    ['token', (url: string) => ['--token', '-', url]],
  ])('drops nothing that stands behind the %s on standard input', async (label, words) => {
    const args = ['register', ...words(server.url)];
    const result = await cli.run(args, { input: `${PASSWORD}\nm4rk3r\n` });
    expect(result).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(`behind the line for ${label}, and nothing takes the rest`),
    });
    expect(result.stderr).not.toContain('m4rk3r');
    expect(server.calls).toEqual([]);
    expect(existsSync(cli.configPath)).toBe(false);
  });

  it('keeps the old registration when the credentials are refused', async () => {
    await cli.run(['register', '-t', TOKEN, server.url]);
    const before = readFileSync(cli.configPath, 'utf8');
    const { status, stderr } = await cli.run(['register', server.url, 'admin', 'wrong']);
    expect(status).toBe(3);
    expect(stderr).toContain('✖ invalid credentials');
    expect(readFileSync(cli.configPath, 'utf8')).toBe(before);
  });

  it('asks for the password without echo', async () => {
    const program = cli.startOnTerminal(['register', server.url, 'admin']);
    await program.waitForOutput(/password:/);
    program.write(`${PASSWORD}\r`);
    expect(await program.exited).toMatchObject({ status: 0 });
    expect(program.stdout).not.toContain(PASSWORD);
    expect(server.paramsOf('session.signIn')).toMatchObject({ password: PASSWORD });
  });

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('ends with status 130 at %s in the prompt', async (_name, key) => {
    const program = cli.startOnTerminal(['register', server.url, 'admin']);
    await program.waitForOutput(/password:/);
    program.write(key);
    expect(await program.exited).toMatchObject({ status: 130 });
    expect(existsSync(cli.configPath)).toBe(false);
  });

  it.each([
    ['without a user', ['register', 'http://127.0.0.1:1'], 'needs a user, or --token'],
    ['with --url', ['--url', 'http://h', 'register', 'http://127.0.0.1:1', 'u', 'p'], '--url'],
    ['with token and user', ['register', '-t', 'x', 'http://127.0.0.1:1', 'u'], 'not both'],
    ['with a token in the URL', ['register', 'http://t@127.0.0.1:1', 'u'], '--token'],
    [
      'without a scheme on this machine',
      ['register', '127.0.0.1:1', 'u'],
      'write http://127.0.0.1:1',
    ],
  ])('refuses to run %s', async (_name, args, message) => {
    const { status, stderr } = await cli.run(args);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(message) });
  });

  it('says that input ended when no password comes', async () => {
    const { status, stderr } = await cli.run(['register', server.url, 'admin']);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringContaining('ended before'),
    });
    expect(server.calls).toEqual([]);
  });
});

describe('create-token', () => {
  it('prints the token alone and remembers nothing', async () => {
    const result = await cli.run(['create-token', server.url, 'admin', '-'], {
      input: `${PASSWORD}\n`,
    });
    expect(result).toMatchObject({ status: 0, stdout: `${TOKEN}\n` });
    expect(server.paramsOf('token.create')).toEqual({ description: 'vault-cli create-token' });
    expect(existsSync(cli.configPath)).toBe(false);
  });

  it('narrows the token', async () => {
    const scope = ['--collections', 'server,remote', '--methods', '*.get', '--readOnly'];
    const args = ['create-token', ...scope, '--mayReveal', server.url, 'admin', '-'];
    expect(await cli.run(args, { input: `${PASSWORD}\n` })).toMatchObject({ status: 0 });
    expect(server.paramsOf('token.create')).toEqual({
      description: 'vault-cli create-token',
      scope: {
        collections: ['server', 'remote'],
        methods: ['*.get'],
        readOnly: true,
        mayReveal: true,
      },
    });
  });

  it('does not take --token', async () => {
    const { status, stderr } = await cli.run(['create-token', '--token', 'x', server.url, 'admin']);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining('--token') });
  });
});

describe('the configuration file', () => {
  beforeEach(async () => {
    server.methods['system.getVersion'] = () => '0.1';
    await cli.run(['register', '-t', TOKEN, server.url]);
  });

  it('is refused while others can read it', async () => {
    chmodSync(cli.configPath, 0o644);
    const { status, stderr } = await call();
    expect({ status, stderr }).toEqual({
      status: 10,
      stderr: expect.stringContaining('chmod 600'),
    });
  });

  it.each([
    ['not JSON', '{"token": "geheim'],
    ['no object', '["geheim"]'],
    ['of a wrong type', '{"server": 7, "token": "geheim"}'],
  ])('is refused when it is %s, without showing what is in it', async (_name, text) => {
    writeFileSync(cli.configPath, text);
    const { status, stderr } = await call();
    expect({ status, stderr }).toEqual({ status: 10, stderr: expect.stringContaining('damaged') });
    expect(stderr).not.toContain('geheim');
  });

  it('is left alone by VAULT_URL and VAULT_CLI_TOKEN, whose token goes before its own', async () => {
    const other = resources.use(await FakeServer.start());
    other.methods['system.getVersion'] = () => '0.2';
    const env = { VAULT_URL: other.url, VAULT_CLI_TOKEN: TOKEN };
    const before = readFileSync(cli.configPath, 'utf8');
    expect(await cli.run(['system.getVersion'], { env })).toMatchObject({ stdout: '0.2\n' });
    expect(readFileSync(cli.configPath, 'utf8')).toBe(before);
    expect(
      await cli.run(['system.getVersion'], { env: { VAULT_CLI_TOKEN: 'wrong' } }),
    ).toMatchObject({
      status: 3,
    });
  });

  it('never gives its token to another server', async () => {
    const other = resources.use(await FakeServer.start());
    other.methods['system.getVersion'] = () => {
      throw new WireError(2, 'not enough permissions', {});
    };
    const { status, stderr } = await cli.run(['--url', other.url, 'system.getVersion']);
    expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringContaining('sign-in') });
    expect(other.calledMethods).toEqual(['system.getVersion']);
  });

  it('is not needed with a token in --url', async () => {
    await cli.run(['unregister']);
    const url = server.url.replace('//', `//${TOKEN}@`);
    expect(await cli.run(['--url', url, 'system.getVersion'])).toMatchObject({ stdout: '0.1\n' });
    expect(server.paramsOf('session.signIn')).toEqual({ token: TOKEN });
  });

  it('is not needed with --user, whose password is the first line of standard input', async () => {
    const result = await cli.run(['--url', server.url, '--user', 'admin', 'system.getVersion'], {
      input: `${PASSWORD}\n`,
    });
    expect(result).toMatchObject({ status: 0, stdout: '0.1\n' });
    expect(server.paramsOf('session.signIn')).toEqual({ email: USER.email, password: PASSWORD });
  });
});
