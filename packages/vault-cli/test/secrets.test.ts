import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { findFreePort } from '../../../test/harness/free-port.js';
import { Resources } from '../../../test/harness/resources.js';
import { FakeServer, WireError } from './support/fake-server.js';
import { CliRunner } from './support/run-cli.js';

/** Each test starts programs, on a machine that may be busy. */
jest.setTimeout(30_000);

/** Stands for a token, a password and a stored value; nothing that is printed may hold it. */
const MARKER = 'm4rk3r-of-a-secret';

const resources = new Resources();
let server: FakeServer;
let cli: CliRunner;
beforeEach(async () => {
  server = resources.use(await FakeServer.start());
  cli = resources.use(new CliRunner());
  server.methods['session.signIn'] = () => {
    throw new WireError(3, 'invalid credentials');
  };
  server.methods['vm.cut'] = (call) => call.cut();
});
afterEach(() => resources.stop());

const withToken = (url: string) => url.replace('//', `//${MARKER}@`);

it.each<[string, () => Promise<string[]> | string[]]>([
  ['a token that is refused', () => ['--url', withToken(server.url), 'a.b']],
  [
    'a server that is down',
    async () => ['--url', withToken(`http://127.0.0.1:${await findFreePort()}`), 'a.b'],
  ],
  ['a URL that is none', () => ['--url', `http://${MARKER}@`, 'a.b']],
  ['a URL with a password', () => ['--url', `http://x:${MARKER}@h`, 'a.b']],
  ['another path', () => ['--url', withToken(`${server.url}/x`), 'a.b']],
  ['a password that is refused', () => ['register', server.url, 'admin', MARKER]],
  ['too many words', () => ['register', server.url, 'admin', 'x', MARKER]],
  ['a password with a dash', () => ['register', server.url, 'admin', `-${MARKER}`]],
  ['a cut connection', () => ['--url', server.url, 'vm.cut', `password=${MARKER}`]],
  ['an unknown method', () => ['--url', server.url, 'vm.none', `password=${MARKER}`]],
  ['a lost name', () => ['--url', server.url, 'vm.none', MARKER]],
  ['bad JSON', () => ['--url', server.url, 'vm.none', `a=json:"${MARKER}`]],
  ['a file in the way', () => ['--url', server.url, 'vm.get', `passphrase=${MARKER}`, '@=taken']],
])('is not shown by the failure of %s, not even when debugging', async (_name, words) => {
  server.methods['vm.get'] = () => ({ $getFrom: `/api/${MARKER}` });
  writeFileSync(cli.folder.join('taken'), '');
  const { status, stdout, stderr } = await cli.run(await words(), { env: { DEBUG: 'vault-cli' } });
  expect(status).toBeGreaterThan(0);
  expect(stderr).toMatch(/^✖ /);
  expect(stdout + stderr).not.toContain(MARKER);
});
