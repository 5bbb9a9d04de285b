import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { findFreePort } from '../../../test/harness/free-port.js';
import { Resources } from '../../../test/harness/resources.js';
import { TlsFiles } from '../../../test/harness/tls.js';
import { FakeServer, PASSWORD, TOKEN } from './support/fake-server.js';
import { CliRunner } from './support/run-cli.js';

/** Each test starts programs, on a machine that may be busy. */
jest.setTimeout(30_000);

const resources = new Resources();
let cli: CliRunner;
beforeEach(() => {
  cli = resources.use(new CliRunner());
});
afterEach(() => resources.stop());

const version = { 'system.getVersion': () => '0.1' };

describe('a server that cannot be reached', () => {
  it('is said to be down when nothing listens', async () => {
    const url = `http://127.0.0.1:${await findFreePort()}`;
    const { status, stderr } = await cli.run(['--url', url, 'system.getVersion']);
    expect(status).toBe(5);
    expect(stderr).toContain(`✖ cannot connect to ${url}: nothing listens there`);
    expect(stderr).toContain('check that vault-server runs there');
  });

  it('is said to be something else when it answers no WebSocket', async () => {
    const server = resources.use(await FakeServer.start());
    const { status, stderr } = await cli.run(['--url', `${server.url}/elsewhere/`, 'a.b']);
    expect(status).toBe(5);
    expect(stderr).toContain('HTTP status 404');
  });

  it('is said to be without TLS', async () => {
    const server = resources.use(await FakeServer.start());
    const url = server.url.replace('http:', 'https:');
    const { status, stderr } = await cli.run(['--url', url, 'a.b']);
    expect({ status, stderr }).toEqual({ status: 5, stderr: expect.stringContaining('http://') });
  });
});

describe('a server with a certificate of its own making', () => {
  let server: FakeServer;
  let tls: TlsFiles;
  beforeEach(async () => {
    tls = resources.use(await TlsFiles.create());
    server = resources.use(
      await FakeServer.start({
        cert: readFileSync(tls.serverCertFile),
        key: readFileSync(tls.serverKeyFile),
      }),
    );
    Object.assign(server.methods, version);
  });

  it('is not talked to', async () => {
    const { status, stderr } = await cli.run(['register', server.url, 'admin', PASSWORD]);
    expect({ status, stderr }).toEqual({
      status: 5,
      stderr: expect.stringContaining('--allowUnauthorized'),
    });
    expect(server.calls).toEqual([]);
  });

  it('is talked to when its authority is named', async () => {
    const env = { NODE_EXTRA_CA_CERTS: tls.caFile };
    const result = await cli.run(['--url', server.url, 'system.getVersion'], { env });
    expect(result).toMatchObject({ status: 0, stdout: '0.1\n' });
  });

  it('is talked to with --allowUnauthorized, which register remembers, also for transfers', async () => {
    server.methods['a.get'] = () => ({ $getFrom: '/api/file' });
    server.pages['/api/file'] = (_request, response) => response.end('content');
    await cli.run(['register', '--au', server.url, 'admin', PASSWORD]);
    expect(await cli.run(['a.get', '@=-'])).toMatchObject({ status: 0, stdout: 'content' });
    const others = ['--url', server.url.replace('//', `//${TOKEN}@`), 'system.getVersion'];
    expect(await cli.run(others)).toMatchObject({ status: 5 });
    expect(await cli.run(['--au', ...others])).toMatchObject({ status: 0 });
  });
});
