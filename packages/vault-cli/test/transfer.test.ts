import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { randomBytes } from 'node:crypto';
import { Resources } from '../../../test/harness/resources.js';
import { FakeServer, PASSWORD, TOKEN } from './support/fake-server.js';
import { CliRunner } from './support/run-cli.js';

/** Each test starts programs, on a machine that may be busy. */
jest.setTimeout(30_000);

const resources = new Resources();
let server: FakeServer;
let cli: CliRunner;
let env: Record<string, string>;
beforeEach(async () => {
  server = resources.use(await FakeServer.start());
  cli = resources.use(new CliRunner());
  env = { VAULT_URL: server.url, VAULT_CLI_TOKEN: TOKEN };
  server.methods['system.exportConfig'] = () => ({ $getFrom: '/api/one-time' });
  server.methods['system.importConfig'] = () => ({ $sendTo: '/api/one-time' });
});
afterEach(() => resources.stop());

const importFrom = (path: string, ...more: string[]) =>
  cli.run(['system.importConfig', `@=${path}`, ...more], { env });

const exportTo = (path: string, ...more: string[]) =>
  cli.run(['system.exportConfig', `@=${path}`, ...more], { env });

const CONTENT = randomBytes(300_000);
const fileNames = () => readdirSync(cli.folder.path).filter((name) => name !== 'config');

describe('a download', () => {
  it.each([
    ['in chunks', {}],
    ['with its length', { 'content-length': String(CONTENT.length) }],
  ])('comes %s into a file that is for its owner', async (_name, headers) => {
    server.pages['/api/one-time'] = (request, response) => {
      expect(request.method).toBe('GET');
      expect(request.headers).not.toHaveProperty('authorization');
      expect(request.headers).not.toHaveProperty('cookie');
      response.writeHead(200, headers).end(CONTENT);
    };
    expect(await exportTo('backup.pgp')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(fileNames()).toEqual(['backup.pgp']);
    expect(readFileSync(cli.folder.join('backup.pgp')).equals(CONTENT)).toBe(true);
    expect(statSync(cli.folder.join('backup.pgp')).mode & 0o777).toBe(0o600);
  });

  it('goes to standard output, also of a whole URL', async () => {
    server.methods['system.exportConfig'] = () => ({ $getFrom: `${server.url}/elsewhere` });
    server.pages['/elsewhere'] = (_request, response) => response.end('plain text');
    expect(await exportTo('-')).toMatchObject({ status: 0, stdout: 'plain text', stderr: '' });
  });

  it.each([
    ['with its length', { 'content-length': '300000' }],
    ['in chunks', {}],
  ])('that is cut off %s leaves nothing', async (_name, headers) => {
    server.pages['/api/one-time'] = (_request, response) => {
      response.writeHead(200, headers);
      response.write(CONTENT.subarray(0, 100_000), () => response.destroy());
    };
    const { status, stderr } = await exportTo('backup.pgp');
    expect({ status, stderr }).toEqual({
      status: 7,
      stderr: expect.stringMatching(/the download did not go through[^]*server's log says why/),
    });
    expect(fileNames()).toEqual([]);
  });

  it('replaces no file without --force, and asks nothing of the one-time URL', async () => {
    let requests = 0;
    server.pages['/api/one-time'] = (_request, response) => {
      requests += 1;
      response.end('new');
    };
    writeFileSync(cli.folder.join('backup.pgp'), 'old');
    const { status, stderr } = await exportTo('backup.pgp');
    expect({ status, stderr }).toEqual({ status: 10, stderr: expect.stringContaining('--force') });
    expect(readFileSync(cli.folder.join('backup.pgp'), 'utf8')).toBe('old');
    expect(requests).toBe(0);
    expect(await exportTo('backup.pgp', '--force')).toMatchObject({ status: 0 });
    expect(readFileSync(cli.folder.join('backup.pgp'), 'utf8')).toBe('new');
    expect(fileNames()).toEqual(['backup.pgp']);
  });

  it('keeps the file that it was to replace when it fails', async () => {
    writeFileSync(cli.folder.join('backup.pgp'), 'old');
    expect(await exportTo('backup.pgp', '--force')).toMatchObject({ status: 7 });
    expect(readFileSync(cli.folder.join('backup.pgp'), 'utf8')).toBe('old');
    expect(fileNames()).toEqual(['backup.pgp']);
  });

  it('does not replace a file that appears meanwhile', async () => {
    server.pages['/api/one-time'] = (_request, response) => {
      writeFileSync(cli.folder.join('backup.pgp'), 'theirs');
      response.end('ours');
    };
    expect(await exportTo('backup.pgp')).toMatchObject({ status: 10 });
    expect(readFileSync(cli.folder.join('backup.pgp'), 'utf8')).toBe('theirs');
    expect(fileNames()).toEqual(['backup.pgp']);
  });

  it.each([
    ['into a folder', 'folder', 10, 'is a folder'],
    ['into a folder that is not there', 'none/backup.pgp', 10, 'cannot be written (ENOENT)'],
  ])('%s is refused', async (_name, path, status, message) => {
    mkdirSync(cli.folder.join('folder'));
    expect(await exportTo(path)).toMatchObject({
      status,
      stderr: expect.stringContaining(message),
    });
  });

  it('writes a device straight', async () => {
    server.pages['/api/one-time'] = (_request, response) => response.end('x');
    expect(await exportTo('/dev/null')).toMatchObject({ status: 0 });
  });

  it.each([
    [404, 'no such page'],
    [302, ''],
  ])('answered with %d leaves nothing', async (code, body) => {
    server.pages['/api/one-time'] = (_request, response) =>
      response.writeHead(code, { location: '/signin' }).end(body);
    expect(await exportTo('backup.pgp')).toMatchObject({
      status: 7,
      stderr: expect.stringContaining(`answered ${code}`),
    });
    expect(fileNames()).toEqual([]);
  });

  it('without a file name says what to add', async () => {
    expect(await cli.run(['system.exportConfig'], { env })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('system.exportConfig is a download: name the file'),
    });
  });

  it('shows a bar on a terminal, and stops at Ctrl-C without leaving a file', async () => {
    server.pages['/api/one-time'] = (_request, response) => {
      response.writeHead(200, { 'content-length': '1048576' });
      response.write(Buffer.alloc(524_288));
    };
    const program = cli.startOnTerminal(['system.exportConfig', '@=backup.pgp'], env);
    await program.waitForOutput(/download .* 50 % {2}512\.0 KiB of 1\.0 MiB/);
    program.write('\u0003');
    expect(await program.exited).toMatchObject({ status: 130 });
    expect(fileNames()).toEqual([]);
  });

  it('is only meant by $getFrom alone', async () => {
    const data = { $getFrom: '/api/one-time', and: 'more' };
    server.methods['system.exportConfig'] = () => data;
    const { stdout } = await exportTo('backup.pgp', '--json');
    expect(JSON.parse(stdout)).toEqual(data);
  });
});

describe('an upload', () => {
  let received: { body: Buffer; request: IncomingMessage };
  beforeEach(() => {
    received = undefined as never;
    writeFileSync(cli.folder.join('backup.pgp'), CONTENT);
    server.pages['/api/one-time'] = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        received = { body: Buffer.concat(chunks), request };
        response.end('config successfully imported\n');
      });
    };
  });

  it('of a file goes raw and with its length', async () => {
    expect(await importFrom('backup.pgp')).toMatchObject({
      status: 0,
      stdout: 'config successfully imported\n',
      stderr: '',
    });
    expect(received.body.equals(CONTENT)).toBe(true);
    expect(received.request.method).toBe('POST');
    expect(received.request.headers['content-length']).toBe(String(CONTENT.length));
    expect(received.request.headers).not.toHaveProperty('content-type');
  });

  it('of standard input goes in chunks, behind the password', async () => {
    writeFileSync(cli.folder.join('passphrase'), 'correct horse\n');
    const login = ['--url', server.url, '--user', 'admin'];
    const { status } = await cli.run(
      [...login, 'system.importConfig', '@=-', 'passphrase=@passphrase'],
      { input: Buffer.concat([Buffer.from(`${PASSWORD}\n`), CONTENT]) },
    );
    expect(status).toBe(0);
    expect(server.paramsOf('system.importConfig')).toEqual({ passphrase: 'correct horse' });
    expect(received.body.equals(CONTENT)).toBe(true);
    expect(received.request.headers['transfer-encoding']).toBe('chunked');
  });

  it('of standard input is refused when a parameter took that', async () => {
    const result = await cli.run(['system.importConfig', '@=-', 'passphrase=-'], {
      env,
      input: Buffer.concat([Buffer.from('correct horse\n'), Buffer.from(CONTENT.toString('hex'))]),
    });
    expect(result).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('standard input went to passphrase as a whole'),
    });
    expect(received).toBeUndefined();
  });

  it('answered with JSON-RPC gives its result', async () => {
    server.pages['/api/one-time'] = (request, response) => {
      request.resume().on('end', () => {
        response.end('{"id":0,"jsonrpc":"2.0","result":{"imported":3}}');
      });
    };
    const { stdout } = await importFrom('backup.pgp', '--json');
    expect(JSON.parse(stdout)).toEqual({ imported: 3 });
  });

  it('answered with a JSON-RPC error shows that', async () => {
    server.pages['/api/one-time'] = (request, response) => {
      request.resume().on('end', () => {
        response
          .writeHead(500, { 'content-type': 'application/json' })
          .end(
            '{"id":0,"jsonrpc":"2.0","error":{"code":10,"message":"wrong passphrase","data":{}}}',
          );
      });
    };
    expect(await importFrom('backup.pgp')).toMatchObject({
      status: 8,
      stdout: '',
      stderr: '✖ wrong passphrase\n',
    });
  });

  it('refused before all of it went shows the answer, not that the rest could not be sent', async () => {
    writeFileSync(cli.folder.join('backup.pgp'), Buffer.alloc(20_000_000));
    server.pages['/api/one-time'] = (request, response) => {
      response.writeHead(413, { connection: 'close' }).write('too large');
      // A server that hung up now could take its answer with it.
      request.resume().on('end', () => response.end());
    };
    expect(await importFrom('backup.pgp')).toMatchObject({
      status: 7,
      stderr: expect.stringContaining('413 Payload Too Large: too large'),
    });
  });

  it('that the server hangs up on fails with a hint', async () => {
    writeFileSync(cli.folder.join('backup.pgp'), Buffer.alloc(20_000_000));
    server.pages['/api/one-time'] = (request) => request.destroy();
    expect(await importFrom('backup.pgp')).toMatchObject({
      status: 7,
      stderr: expect.stringContaining("the server's log says why"),
    });
  });

  it('of a file that is not there is refused', async () => {
    expect(await importFrom('none.pgp')).toMatchObject({
      status: 10,
      stderr: expect.stringContaining('none.pgp cannot be read (ENOENT)'),
    });
  });
});
