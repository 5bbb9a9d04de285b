import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Resources } from '../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../test/harness/temporary-folder.js';
import { secretFromFile } from '../src/commands/secret-input.js';
import { readKeyFile, readSecretFile } from '../src/config/redis-config.js';
import type { Settings } from '../src/config/settings.js';
import { readTlsFiles } from '../src/lifecycle/reload.js';
import { modeProblem, readSecretLine } from '../src/secret-file.js';

const SECRET = 'm4rk3r of a secret';

const resources = new Resources();
afterEach(() => resources.stop());

function fileWith(text: string, mode: number): string {
  const file = resources.use(new TemporaryFolder()).join('secret');
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

/** Message of what a call throws. */
function refusal(read: () => unknown): { code: string; message: string } {
  try {
    read();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('nothing was refused');
}

it.each([0o400, 0o600, 0o700])('is read with mode %o: its line', (mode) => {
  expect(readSecretLine(fileWith(`${SECRET}\r\n`, mode))).toBe(SECRET);
});

describe.each([0o440, 0o404, 0o640, 0o660, 0o602, 0o644])('with mode %o', (mode) => {
  it('is refused, saying what to do, wherever it is named', () => {
    const file = fileWith(`${SECRET}\n`, mode);
    const problem = `${file} has mode ${mode.toString(8)}, which is open to group or others: chmod 400 it`;
    const asSetting = refusal(() => readSecretFile('redis.passwordFile', file));
    expect(asSetting.code).toBe('CONFIG_UNREADABLE');
    expect(asSetting.message).toContain(`redis.passwordFile: ${problem}`);
    const asOption = refusal(() => secretFromFile('--passphrase-file', file));
    expect(asOption.code).toBe('SECRET_INPUT');
    expect(asOption.message).toContain(`--passphrase-file: ${problem}`);
    expect(asSetting.message + asOption.message).not.toContain(SECRET);
  });
});

describe('a private key', () => {
  const PEM = '-----BEGIN PRIVATE KEY-----\n';
  const isRoot = process.geteuid?.() === 0;

  it.each([0o644, 0o604, 0o660, 0o620])('of mode %o is refused, with its setting', (mode) => {
    const refused = refusal(() => readKeyFile('http.key', fileWith(PEM, mode)));
    expect(refused.code).toBe('CONFIG_UNREADABLE');
    expect(refused.message).toMatch(
      new RegExp(`^http\\.key: .* has mode ${mode.toString(8)}, which is open to group or others`),
    );
  });

  it.each([0o400, 0o600])('of mode %o is read', (mode) => {
    expect(readKeyFile('http.key', fileWith(PEM, mode))).toBe(PEM);
  });

  it('that a group may read is taken from root alone', () => {
    const file = fileWith(PEM, 0o640);
    // Root's files are root's; anybody else cannot make one of root, and sees the same refusal.
    const whileOfRoot = isRoot ? readKeyFile('redis.tlsKey', file) : PEM;
    if (isRoot) chownSync(file, 65_534, 65_534);
    expect(whileOfRoot).toBe(PEM);
    expect(refusal(() => readKeyFile('redis.tlsKey', file)).message).toContain('has mode 640');
  });

  it('is refused by a start that has it as http.key', () => {
    const settings = { 'http.cert': fileWith(PEM, 0o644), 'http.key': fileWith(PEM, 0o644) };
    expect(refusal(() => readTlsFiles(settings as unknown as Settings)).message).toContain(
      'chmod 400',
    );
  });
});

it.each([
  ['that is not there', () => '/no/such/file', 'cannot be read (ENOENT)'],
  ['that is a folder', () => '/', 'cannot be read (EISDIR)'],
  ['that is empty', () => fileWith('', 0o400), 'is empty'],
  ['with an empty first line', () => fileWith(`\n${SECRET}\n`, 0o400), 'begins with an empty line'],
  ['of two lines', () => fileWith(`${SECRET}\nmore\n`, 0o400), 'holds more than one line'],
])('a file %s is refused', (_, file, message) => {
  expect(refusal(() => readSecretLine(file())).message).toContain(message);
});

it('a pipe is read: nobody else has it', () => {
  const pipe = resources.use(new TemporaryFolder()).join('pipe');
  execFileSync('mkfifo', ['-m', '666', pipe]);
  execFileSync('sh', ['-c', '(printf "%s\\n" "$0" > "$1") > /dev/null 2>&1 &', SECRET, pipe]);
  expect(readSecretLine(pipe)).toBe(SECRET);
});

it('a credential of systemd may show the right of its user as one of a group', () => {
  expect(modeProblem('/run/credentials/vault.service/passphrase', 0o100440)).toBeUndefined();
  expect(modeProblem('/run/credentials/../../etc/passphrase', 0o100440)).toContain('has mode 440');
});
