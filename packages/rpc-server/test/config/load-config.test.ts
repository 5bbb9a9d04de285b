import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TemporaryFolder } from '../../../../test/harness/temporary-folder.js';
import { ConfigError } from '../../src/config/errors.js';
import { loadConfig } from '../../src/config/load-config.js';
import type { LoadOptions, ServerConfig } from '../../src/config/load-config.js';

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder('vault-config');
});
afterEach(() => folder.stop());

function write(text: string, name = 'config.toml'): string {
  const file = folder.join(name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function load(text: string, more: Partial<LoadOptions> = {}): ServerConfig {
  const options = { environment: {}, workingFolder: '/work', configFile: write(text), ...more };
  return loadConfig(options);
}

function refusal(text: string, more: Partial<LoadOptions> = {}): string {
  try {
    load(text, more);
  } catch (error) {
    if (error instanceof ConfigError) {
      return `${error.code} ${error.message.replaceAll(folder.path, '')}`;
    }
    throw error;
  }
  throw new Error('the configuration was taken');
}

describe('a configuration', () => {
  it('has the default of every setting that it does not name', () => {
    const { settings, warnings } = load('');
    expect(settings['http.listen']).toBe('127.0.0.1:7400');
    expect(settings['redis.encryptCredentialDatabase']).toBeUndefined();
    expect(settings['redis.url']).toBeUndefined();
    expect(settings['keystore.rotateAfter']).toBe(90 * 86_400_000);
    expect(settings['authentication.maxTokenValidity']).toBe(15_778_800_000);
    expect(settings['limits.transferLifetime']).toBe(300_000);
    expect(warnings).toEqual([]);
  });

  it('gives the values of the file, with durations in milliseconds and paths from its folder', () => {
    const { settings } = load(`
      datadir = "data"
      [redis]
      encryptCredentialDatabase = true
      cluster = ["a:1", "b:2"]
      [keystore]
      halfA = { source = "env" }
      rotateAfter = "30 days"
      [limits]
      batchCalls = 5
    `);
    expect(settings.datadir).toBe(folder.join('data'));
    expect(settings['redis.encryptCredentialDatabase']).toBe(true);
    expect(settings['redis.cluster']).toEqual(['a:1', 'b:2']);
    expect(settings['keystore.halfA']).toEqual({ source: 'env' });
    expect(settings['keystore.rotateAfter']).toBe(30 * 86_400_000);
    expect(settings['limits.batchCalls']).toBe(5);
  });

  it('is overridden by the environment, and that by the command line', () => {
    const { settings } = load('datadir = "/a"\n[http]\nlisten = "127.0.0.1:1"', {
      environment: {
        VAULT_DATADIR: '/b',
        VAULT_HTTP_LISTEN: '127.0.0.1:2',
        VAULT_REDIS_ENCRYPT_CREDENTIAL_DATABASE: 'true',
        VAULT_REDIS_CLUSTER: 'a:1, b:2',
        VAULT_KEYSTORE_HALF_A: '{ source = "machine" }',
        VAULT_LIMITS_BATCH_CALLS: '7',
      },
      overrides: { datadir: 'c' },
    });
    expect(settings).toMatchObject({
      datadir: '/work/c',
      'http.listen': '127.0.0.1:2',
      'redis.encryptCredentialDatabase': true,
      'redis.cluster': ['a:1', 'b:2'],
      'keystore.halfA': { source: 'machine' },
      'limits.batchCalls': 7,
    });
  });

  it.each([
    [
      'redsi = 1',
      'CONFIG_UNKNOWN /config.toml:1: unknown section or setting "redsi" (did you mean "redis"?)',
    ],
    [
      '\n[http]\n\nlisen = "x"',
      'CONFIG_UNKNOWN /config.toml:4: unknown setting "http.lisen" (did you mean "http.listen"?)',
    ],
    [
      '[redis]\nencryptCredentialDatabase = "yes"',
      'CONFIG_TYPE /config.toml:2: "redis.encryptCredentialDatabase" is true or false, met a string',
    ],
    [
      '[redis]\n# note\ncluster = [\n "a:1",\n]\ndatabase = -1',
      'CONFIG_TYPE /config.toml:6: "redis.database" is from 0 to 65535',
    ],
    [
      '[keystore]\nrotateAfter = "soon"',
      'CONFIG_TYPE /config.toml:2: "keystore.rotateAfter" is a duration such as "90d", "2s" or "30 min", met another text',
    ],
    [
      '[log]\nlevel = "loud"',
      'CONFIG_TYPE /config.toml:2: "log.level" is one of debug, info, warn, error',
    ],
    ['redis = 3', 'CONFIG_TYPE /config.toml:1: "redis" is a section: [redis]'],
    [
      'http.listen = "7400"',
      'CONFIG_TYPE /config.toml:1: "http.listen" is address:port, such as "127.0.0.1:7400" or "[::1]:7400"',
    ],
    ['[http]\ncert = "a"', 'CONFIG_CONFLICT /config.toml:2: "http.cert" needs "http.key"'],
    [
      '[redis]\nurl = "redis://a"\nsocket = "b"',
      'CONFIG_CONFLICT /config.toml:3: "redis.socket" and "redis.url" both say where Redis is: keep one',
    ],
    [
      '[redis]\nsentinels = ["a:1"]',
      'CONFIG_CONFLICT /config.toml:2: "redis.sentinels" needs "redis.name"',
    ],
    [
      '[keystore]\nrotateAfter = "23h"\nrotateAutomatically = true',
      'CONFIG_CONFLICT /config.toml:3: "keystore.rotateAutomatically" needs "keystore.rotateAfter" of a day at least: each rotation leaves an inactive key behind, and a half holds only so many',
    ],
    [
      '[redis]\ntls = true',
      'CONFIG_CONFLICT /config.toml:2: "redis.tls" is for a Redis of yours: set one of redis.url, redis.socket, redis.cluster, redis.sentinels',
    ],
    [
      '[collections.apikey.fields]\nkey = "secrt"',
      'CONFIG_TYPE /config.toml:2: "collections.apikey.fields.key" is one of string, number, boolean, json, secret (did you mean "secret"?)',
    ],
    [
      '[collections.apikey]\nfields = { url = { type = "string", destination = "yes" } }',
      'CONFIG_TYPE /config.toml:2: "collections.apikey.fields.url.destination" is true or false',
    ],
    [
      '[collections.apikey]\nfields = { key = "secret" }\nindexs = {}',
      'CONFIG_UNKNOWN /config.toml:3: unknown key "indexs" in "collections.apikey" (did you mean "indexes"?)',
    ],
    [
      '[collections.apikey]\nfields = { key = "secret" }\nindexes = { key = "exact" }',
      'CONFIG_TYPE /config.toml:1: collection "apikey", index "key": a field of type secret is not indexed',
    ],
    [
      '[collections.apikey]\nfields = { key = "secret" }\ndropFields = "yes"',
      'CONFIG_TYPE /config.toml:3: "collections.apikey.dropFields" is true or false',
    ],
    [
      '[collections.user]',
      'CONFIG_CONFLICT /config.toml:1: the collection "user" belongs to the server and cannot be configured',
    ],
    [
      '[collections.server]\nfields = { password = "string" }',
      'CONFIG_CONFLICT /config.toml:2: "collections.server.fields.password" is built in and cannot be changed',
    ],
  ])('is refused with file and line: %j', (text, message) => {
    expect(refusal(text)).toBe(message);
  });

  it('is refused with line and column where it is not TOML, without quoting it', () => {
    const message = refusal('[redis]\nurl = "redis://:hunter2secret@host" x');
    expect(message).toMatch(/^CONFIG_SYNTAX \/config\.toml:2:\d+: /);
    expect(message).not.toContain('hunter2secret');
  });

  it('names the variable when a variable is wrong, and not its value', () => {
    expect(refusal('', { environment: { VAULT_LIMITS_BATCH_CALLS: 'hunter2secret' } })).toBe(
      'CONFIG_TYPE VAULT_LIMITS_BATCH_CALLS: "limits.batchCalls" is an integer, met a string',
    );
  });

  it('warns of a variable that is one slip away from ours, not of those of other programs', () => {
    const environment = { VAULT_REDIS_URI: 'x', VAULT_ADDR: 'x', VAULT_ADMIN_EMAIL: 'x' };
    expect(load('', { environment }).warnings).toEqual([
      'the environment variable VAULT_REDIS_URI is not one of ours; did you mean VAULT_REDIS_URL?',
    ]);
  });

  it.each(['0.0.0.0:7400', '[::]:7400', 'vault.example.org:443', '192.168.0.1:80'])(
    'is refused when it listens on %s in clear',
    (listen) => {
      expect(refusal(`http.listen = "${listen}"`)).toContain('cross the network in clear');
      expect(load(`http = { listen = "${listen}", allowPlaintext = true }`).file).toBeDefined();
      expect(load(`http = { listen = "${listen}", cert = "c", key = "k" }`).file).toBeDefined();
    },
  );

  it.each(['127.0.0.1:0', 'localhost:7400', '[::1]:7400', '127.9.9.9:1'])(
    'may listen on %s in clear',
    (listen) => {
      expect(load(`http.listen = "${listen}"`).settings['http.listen']).toBe(listen);
    },
  );

  it('spells out the short forms of a collection, beside the built-in ones', () => {
    const { collections } = load(`
      [collections.apikey]
      fields = { service = "string", owner = { type = "string", optional = false }, key = "secret" }
      indexes = { service = "exact", byOwner = { fields = ["owner", "service"] } }
      [collections.server]
      fields = { site = "string" }
      indexes = { site = "exact" }
    `);
    expect(collections['apikey']).toEqual({
      fields: {
        service: { type: 'string' },
        owner: { type: 'string', optional: false },
        key: { type: 'secret' },
      },
      indexes: {
        service: { kind: 'exact', fields: ['service'] },
        byOwner: { kind: 'exact', fields: ['owner', 'service'] },
      },
    });
    expect(Object.keys(collections['server']?.indexes ?? {})).toEqual(
      expect.arrayContaining(['host', 'site']),
    );
  });
});

describe('a configuration file', () => {
  it('is looked for under XDG_CONFIG_HOME, then HOME', () => {
    write('datadir = "/x"', 'vault-server/config.toml');
    const environment = { XDG_CONFIG_HOME: folder.path };
    expect(loadConfig({ environment, workingFolder: '/' }).settings.datadir).toBe('/x');
    write('datadir = "/y"', '.config/vault-server/config.toml');
    expect(
      loadConfig({ environment: { HOME: folder.path }, workingFolder: '/' }).settings.datadir,
    ).toBe('/y');
  });

  it('is not replaced by another when --config names one that is missing', () => {
    write('', 'vault-server/config.toml');
    const options = {
      environment: { XDG_CONFIG_HOME: folder.path },
      workingFolder: folder.path,
      configFile: 'missing.toml',
    };
    expect(() => loadConfig(options)).toThrow(
      `no configuration file found (looked for ${folder.join('missing.toml')}); make one with: vault-server init`,
    );
  });

  it('that cannot be read is named with the reason', () => {
    expect(() =>
      loadConfig({ environment: {}, workingFolder: '/', configFile: folder.path }),
    ).toThrow(/cannot be read \(EISDIR\)/);
  });
});
