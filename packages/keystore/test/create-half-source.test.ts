import { describe, expect, test } from '@jest/globals';
import { createHalfSource } from '../src/create-half-source.js';
import { HALF_SOURCE_NAMES } from '../src/half-source.js';
import type { SourceEnvironment } from '../src/source-table.js';

const ENVIRONMENT: SourceEnvironment = {
  variables: {},
  dataDir: '/var/lib/vault-server/data',
  userId: 0,
  groupId: 0,
};

describe('a half source made from configuration', () => {
  test.each(HALF_SOURCE_NAMES)(
    '%s needs no more than its name, or what it says is missing',
    (source) => {
      const more = source === 'command' ? { read: ['pass', 'show', 'vault'] } : {};
      expect(createHalfSource({ source, ...more }, ENVIRONMENT).source).toBe(source);
    },
  );

  test.each([
    ['xenstore', 'vm-data/vault-encryption-key'],
    ['file', '/var/lib/vault-server/data/vault-encryption-key'],
    ['env', 'VAULT_MASTER_KEY'],
    ['machine', 'salt /var/lib/vault-server/vault-machine-salt'],
    ['systemd', '$CREDENTIALS_DIRECTORY/vault-encryption-key'],
  ])('%s is at %s by default', (source, place) => {
    expect(createHalfSource({ source }, ENVIRONMENT).place).toBe(place);
  });

  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ['file', /must be a table/],
    [null, /must be a table/],
    [[], /must be a table/],
    [{}, /"source" is missing \(known: xenstore, file, env, machine, command, systemd\)/],
    [{ source: 'xenstroe' }, /unknown source "xenstroe", did you mean "xenstore"\?/],
    [{ source: 'vault' }, /unknown source "vault" \(known: /],
    [{ source: 'constructor' }, /unknown source "constructor"/],
    [{ source: 'file', paht: '/x' }, /unknown field "paht", did you mean "path"\?/],
    [{ source: 'file', toString: '/x' }, /unknown field "toString"/],
    [{ source: 'file', path: 'relative' }, /"path" must be an absolute path, met a string of 8/],
    [{ source: 'file', path: 7 }, /"path" must be an absolute path, met a number/],
    [{ source: 'file', path: '/a\0b' }, /"path" must be an absolute path/],
    [{ source: 'file', shared: 'yes' }, /"shared" must be true or false/],
    [{ source: 'xenstore', path: 'a//b' }, /"path" must be a XenStore path/],
    [{ source: 'xenstore', path: 'a/' }, /"path" must be a XenStore path/],
    [{ source: 'xenstore', path: 'a b' }, /"path" must be a XenStore path/],
    [{ source: 'xenstore', path: 'x'.repeat(257) }, /"path" must be a XenStore path/],
    [{ source: 'xenstore', timeLimitMs: 0 }, /"timeLimitMs" must be a whole number of millis/],
    [{ source: 'env', variable: 'A=B' }, /"variable" must be the name of an environment/],
    [{ source: 'machine', iterations: 99_999 }, /"iterations" must be a whole number, 100000/],
    [{ source: 'machine', parts: [] }, /"parts" must be a list of "machine-id"/],
    [{ source: 'machine', parts: ['user', 'user'] }, /"parts" must be .* at most once/],
    [{ source: 'machine', parts: ['mac'] }, /"parts" must be a list/],
    [{ source: 'machine', recipe: 'other' }, /"recipe" must be "parts" or "conexor"/],
    [{ source: 'machine', saltPath: `${ENVIRONMENT.dataDir}/x` }, /outside the datadir/],
    [{ source: 'command' }, /"read" is missing: a list of strings/],
    [{ source: 'command', read: 'pass show vault' }, /"read" must be a list of strings/],
    [{ source: 'command', read: [] }, /"read" must be a list/],
    [{ source: 'command', read: ['x', 7] }, /"read" must be a list/],
    [{ source: 'command', read: ['x'], missingExitStatus: 0 }, /an exit status, 1 to 255/],
    [{ source: 'command', read: ['x'], passVariables: ['A B'] }, /"passVariables" must be a list/],
    [{ source: 'systemd', credential: '../x' }, /"credential" must be a file name/],
    [{ source: 'systemd', credential: '..' }, /"credential" must be a file name/],
  ];
  test.each(wrong)('%j is refused', (config, message) => {
    expect(() => createHalfSource(config, ENVIRONMENT, 'halfA')).toThrow(message);
    expect(() => createHalfSource(config, ENVIRONMENT, 'halfA')).toThrow(/^halfA: /);
    expect(() => createHalfSource(config, ENVIRONMENT)).toThrow(
      expect.objectContaining({ code: 'SOURCE_CONFIG_INVALID' }),
    );
  });

  test('a secret put where a path belongs is not quoted', () => {
    const config = { source: 'file', path: 'marker-secret' };
    expect(() => createHalfSource(config, ENVIRONMENT)).not.toThrow(/marker/);
    expect(() => createHalfSource(config, ENVIRONMENT)).toThrow('a string of 13 characters');
  });
});
