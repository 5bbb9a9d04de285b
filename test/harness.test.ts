import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { existsSync, writeFileSync } from 'node:fs';
import { Gpg } from './harness/gpg.js';
import { Program, runProgram } from './harness/program.js';
import { RedisServer } from './harness/redis.js';
import { Resources } from './harness/resources.js';
import { TemporaryFolder } from './harness/temporary-folder.js';
import { TlsFiles } from './harness/tls.js';
import { Xenstored } from './harness/xenstored.js';

jest.setTimeout(60_000);
const resources = new Resources();
afterEach(() => resources.stop());

describe('a program', () => {
  test('is waited for by its output, and its end is told', async () => {
    const program = Program.start('sh', [
      '-c',
      'echo one; read answer; echo "got $answer"; exit 3',
    ]);
    await program.waitForOutput(/one/);
    program.write('two\n');
    await program.waitForOutput(/got two/);
    expect(await program.exited).toEqual({ status: 3, signal: null });
  });

  test('that ends without the expected output fails the wait and shows what it printed', async () => {
    const program = Program.start('sh', ['-c', 'echo oops >&2; exit 1']);
    await expect(program.waitForOutput(/ready/)).rejects.toThrow(/ended[^]*oops/);
  });

  test('that does not exist is a status, not a crash of the test', async () => {
    expect((await runProgram('no-such-program', [])).status).toBe(127);
  });
});

describe('a temporary folder', () => {
  test('goes together with the processes that run in it', async () => {
    const folder = new TemporaryFolder();
    const program = Program.start('sh', ['-c', 'echo up; exec tail -f /dev/null'], {
      cwd: folder.path,
    });
    await program.waitForOutput(/up/);
    await folder.stop();
    expect((await program.exited).signal).toBe('SIGKILL');
    expect(existsSync(folder.path)).toBe(false);
  });
});

describe('redis', () => {
  test.each(['unix', 'tcp'] as const)(
    'on %s keeps what its AOF holds over a kill',
    async (listen) => {
      const redis = resources.use(await RedisServer.start({ listen, appendonly: true }));
      await redis.client().set('a', '1');
      await redis.kill();
      await redis.restart();
      expect(await redis.client().get('a')).toBe('1');
    },
  );

  test('with a password and TLS takes only clients that have both', async () => {
    const tls = resources.use(await TlsFiles.create());
    const redis = resources.use(
      await RedisServer.start({ listen: 'tcp', tls, password: 'open sesame' }),
    );
    expect(await redis.client().ping()).toBe('PONG');
    expect(redis.url).toMatch(/^rediss:\/\/:open%20sesame@127\.0\.0\.1:\d+\/0$/);
    const withoutPassword = redis.client({ password: '', maxRetriesPerRequest: 0 });
    await expect(withoutPassword.ping()).rejects.toThrow(/NOAUTH/);
  });

  test('with a wrong line in its configuration fails to start and says why', async () => {
    await expect(RedisServer.start({ config: ['no-such-option 1'] })).rejects.toThrow(
      /no-such-option/,
    );
  });
});

describe('xenstored', () => {
  test('answers the real commands, and comes back empty after a restart', async () => {
    const xenstored = resources.use(await Xenstored.start());
    expect((await xenstored.cli('write', ['vm-data/x', 'value'])).status).toBe(0);
    expect((await xenstored.cli('read', ['vm-data/x'])).stdout).toBe('value\n');
    await xenstored.kill();
    expect((await xenstored.cli('read', ['vm-data/x'])).stderr).toMatch(/xs_open/);
    await xenstored.restart();
    expect((await xenstored.cli('read', ['vm-data/x'])).status).toBe(1);
  });
});

describe('gpg', () => {
  test('opens what it sealed, and nothing with another passphrase', async () => {
    const gpg = resources.use(new Gpg());
    const folder = resources.use(new TemporaryFolder());
    writeFileSync(folder.join('plain'), 'text');
    await gpg.encrypt(folder.join('plain'), folder.join('sealed'), 'right passphrase');
    expect((await gpg.decrypt(folder.join('sealed'), 'right passphrase')).stdout).toBe('text');
    expect((await gpg.decrypt(folder.join('sealed'), 'wrong passphrase')).status).toBe(2);
  });
});
