import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyHalf } from '@vault/crypto';
import { createHalfSource } from '../../src/create-half-source.js';
import type { HalfSource } from '../../src/half-source.js';
import { describeHalfSource, FIRST_ID } from '../half-source-conformance.js';
import { makePlace } from '../source-environment.js';
import type { TestPlace } from '../source-environment.js';

/** A secret manager in one file: exit status 44 when there is no such secret, 7 when it is cut off. */
function readScript(path: string): string {
  return `[ -e '${path}.cut-off' ] && exit 7; [ -e '${path}' ] || exit 44; cat '${path}'`;
}
function writeScript(path: string): string {
  return `[ -e '${path}.cut-off' ] && exit 7; cat > '${path}.new' && mv '${path}.new' '${path}'`;
}

for (const isWritable of [true, false]) {
  describe(`a command, ${isWritable ? 'with' : 'without'} one that writes`, () => {
    describeHalfSource(
      'command',
      () => {
        const { folder, environment } = makePlace();
        const path = folder.join('secret');
        const config = {
          source: 'command',
          read: ['sh', '-c', readScript(path)],
          ...(isWritable ? { write: ['sh', '-c', writeScript(path)] } : {}),
          missingExitStatus: 44,
        };
        return Promise.resolve({
          source: createHalfSource(config, environment),
          plantHalf: (half) => {
            writeFileSync(path, half.unsafeHex());
            return Promise.resolve(half);
          },
          plantGarbage: (garbage) => Promise.resolve(writeFileSync(path, garbage)),
          stored: () => Promise.resolve(existsSync(path) ? readFileSync(path, 'utf8') : undefined),
          cutOff: () => Promise.resolve(writeFileSync(`${path}.cut-off`, '')),
          stop: () => folder.stop(),
        });
      },
      { isWritable, canCopyAside: false },
    );
  });
}

describe('a command', () => {
  let at: TestPlace;
  beforeEach(() => {
    at = makePlace({ SECRET_TOKEN: 'marker-token', PASSED: 'passed-on', HOME: '/nowhere' });
  });
  afterEach(() => at.folder.stop());

  function commandSource(script: string, more: Record<string, unknown> = {}): HalfSource {
    const config = { source: 'command', read: ['sh', '-c', script], ...more };
    return createHalfSource(config, at.environment);
  }

  test('gets a minimal environment: PATH, HOME, what is passed on, nothing else', async () => {
    const file = at.folder.join('environment');
    await commandSource(`env > '${file}'`, { passVariables: ['PASSED', 'UNSET'] }).read();
    const names = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split('=', 1)[0]);
    const ofTheShell = new Set(['', 'PWD', 'OLDPWD', 'SHLVL', '_']);
    const given = names.filter((name) => !ofTheShell.has(name ?? ''));
    expect(new Set(given)).toEqual(new Set(['HOME', 'LC_ALL', 'PASSED', 'PATH']));
  });

  test('is read by no shell', async () => {
    const file = at.folder.join('injected');
    const config = { source: 'command', read: ['echo', `$(touch ${file}); touch ${file}`] };
    expect(await createHalfSource(config, at.environment).read()).toMatchObject({
      status: 'corrupt',
    });
    expect(existsSync(file)).toBe(false);
  });

  test('that prints nothing and succeeds says that there is none', async () => {
    expect(await commandSource('exit 0').read()).toEqual({ status: 'missing' });
  });

  test('that fails is unreadable, by its exit status alone', async () => {
    const source = commandSource('echo marker-out; echo marker-err >&2; exit 3');
    const reading = await source.read();
    expect(reading).toEqual({ status: 'unreadable', reason: 'sh ended with status 3' });
  });

  test('that is not installed, or not executable, is unreadable', async () => {
    const absent = { source: 'command', read: ['no-such-secret-manager'] };
    expect(await createHalfSource(absent, at.environment).read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('ENOENT'),
    });
    const file = at.folder.join('plain');
    writeFileSync(file, '', { mode: 0o600 });
    expect(
      await createHalfSource({ source: 'command', read: [file] }, at.environment).read(),
    ).toMatchObject({ status: 'unreadable', reason: expect.stringContaining('EACCES') });
  });

  test('that does not end is killed with its children at the time limit', async () => {
    const fifo = at.folder.join('fifo');
    spawnSync('mkfifo', [fifo]);
    // Ends when nobody holds the other end any more: not before the grandchild is gone.
    const grandchildGone = readFile(fifo);
    const reading = await commandSource(`sleep 1000 > '${fifo}' & wait`, {
      timeLimitMs: 500,
    }).read();
    expect(reading).toEqual({ status: 'unreadable', reason: 'sh did not end within 500 ms' });
    expect(await grandchildGone).toHaveLength(0);
  });

  test('that prints without end is stopped', async () => {
    expect(await commandSource('yes').read()).toMatchObject({
      status: 'unreadable',
      reason: expect.stringContaining('more than 16384 bytes'),
    });
  });

  test('that writes gets the value on standard input, and never as an argument', async () => {
    const path = at.folder.join('secret');
    const argumentsFile = at.folder.join('arguments');
    const write = `tr '\\0' ' ' < /proc/$$/cmdline > '${argumentsFile}'; ${writeScript(path)}`;
    const source = commandSource(readScript(path), {
      write: ['sh', '-c', write],
      missingExitStatus: 44,
    });
    await source.append({ keyId: FIRST_ID, half: KeyHalf.fromHex('5c'.repeat(32)) });
    expect(readFileSync(path, 'utf8')).toBe(`${FIRST_ID}:${'5c'.repeat(32)}`);
    expect(readFileSync(argumentsFile, 'utf8')).not.toContain('5c5c');
  });

  test('that fails to write, or does not read its input, leaves an error by exit status', async () => {
    const source = commandSource('exit 0', { write: ['sh', '-c', 'exit 9'] });
    const append = source.append({ keyId: FIRST_ID, half: KeyHalf.generate() });
    await expect(append).rejects.toMatchObject({
      code: 'HALF_WRITE_FAILED',
      message: expect.stringContaining('status 9'),
    });
  });

  test('that prints nothing where it printed a value before is not written to', async () => {
    const path = at.folder.join('secret');
    writeFileSync(path, 'a3'.repeat(32));
    const source = commandSource(`[ -e '${path}.hiccup' ] || cat '${path}'`, {
      write: ['sh', '-c', writeScript(path)],
    });
    expect(await source.read()).toMatchObject({ status: 'found' });
    writeFileSync(`${path}.hiccup`, '');
    const append = source.append({ keyId: FIRST_ID, half: KeyHalf.generate() });
    await expect(append).rejects.toMatchObject({ code: 'HALF_CONFLICT' });
    expect(readFileSync(path, 'utf8')).toBe('a3'.repeat(32));
  });

  test('names its program only, since arguments may hold a token', () => {
    expect(commandSource('echo marker-token').place).toBe('sh');
  });
});
