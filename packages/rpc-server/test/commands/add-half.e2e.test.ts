/** `vault-server keys add-half-a`: a half that was found goes back, from standard input. Reads `dist`: build first. */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { stringify } from 'smol-toml';
import { runProgram } from '../../../../test/harness/program.js';
import type { ProgramResult } from '../../../../test/harness/program.js';
import { Resources } from '../../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';

const BINARY = new URL('../../bin/vault-server.js', import.meta.url).pathname;
const LOST = `0123456789abcdef:${'5a'.repeat(32)}`;
const OTHER = `fedcba9876543210:${'a5'.repeat(32)}`;

// Each test starts processes, on a machine that may be busy.
jest.setTimeout(60_000);

const resources = new Resources();
let folder: TemporaryFolder;
let place: string;
beforeEach(() => {
  folder = resources.use(new TemporaryFolder('vault-half'));
  place = folder.join('half-a');
  const keystore = { halfA: { source: 'file', path: place }, halfB: { source: 'env' } };
  const config = { datadir: folder.join('data'), keystore };
  writeFileSync(folder.join('config.toml'), stringify(config), { mode: 0o600 });
});
afterEach(() => resources.stop());

function add(input: string, half = 'a'): Promise<ProgramResult> {
  const args = ['keys', `add-half-${half}`, '--config', folder.join('config.toml')];
  return runProgram(process.execPath, [BINARY, ...args], {
    env: { PATH: process.env['PATH'] },
    input,
  });
}

describe('a half that was found', () => {
  it('is written where there is none', async () => {
    const { status, stdout, stderr } = await add(`${LOST}\n`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('The half of key 0123456789abcdef is in');
    expect(stdout).not.toContain('5a5a');
    expect(readFileSync(place, 'utf8')).toBe(`${LOST}\n`);
    expect(statSync(place).mode & 0o777).toBe(0o400);
  });

  it('goes beside what stands there, with all its lines, and each once', async () => {
    writeFileSync(place, `${OTHER}\n`, { mode: 0o400 });
    const third = `1111111111111111:${'77'.repeat(32)}`;
    expect((await add(`${LOST}\n${OTHER}\n${third}\n`)).stdout).toContain(
      'of key 0123456789abcdef, 1111111111111111 is in',
    );
    expect(readFileSync(place, 'utf8')).toBe(`${OTHER}\n${LOST}\n${third}\n`);
    expect((await add(LOST)).stdout).toContain('has each of these lines already');
    expect(readFileSync(place, 'utf8')).toBe(`${OTHER}\n${LOST}\n${third}\n`);
  });

  it.each([
    ['nothing', '', 'standard input is empty'],
    ['a half without its key id', '5a'.repeat(32), 'expected lines of the form <key id>'],
    ['half a line', LOST.slice(0, 60), 'is no value of a half'],
    ['lines that tools escaped', `${LOST}\\n${OTHER}`, 'is no value of a half'],
    ['far too much', `${LOST}\n`.repeat(300), 'expected at most 16384 bytes'],
  ])('is refused where it is %s, and nothing is written', async (_, input, problem) => {
    const { status, stdout, stderr } = await add(input);
    expect(status).not.toBe(0);
    expect(stderr).toContain(problem);
    expect(stdout + stderr).not.toContain('5a5a');
    expect(() => readFileSync(place)).toThrow('ENOENT');
  });

  it('of a key that stands there with another half replaces nothing', async () => {
    const wrong = `0123456789abcdef:${'99'.repeat(32)}`;
    writeFileSync(place, `${wrong}\n`, { mode: 0o400 });
    await add(LOST);
    expect(readFileSync(place, 'utf8').split('\n')).toContain(wrong);
  });

  it('is refused where the server does not write', async () => {
    const { status, stderr } = await add(LOST, 'b');
    expect(status).not.toBe(0);
    expect(stderr).toContain('read-only');
  });

  it('is refused for a place that others can write to', async () => {
    writeFileSync(place, `${OTHER}\n`, { mode: 0o444 });
    expect((await add(LOST)).status).not.toBe(0);
    rmSync(place);
  });
});
