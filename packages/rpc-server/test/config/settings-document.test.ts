import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'smol-toml';
import { configTemplate } from '../../src/config/config-template.js';
import { formatDuration, parseDuration } from '../../src/config/duration.js';
import { limitsOf } from '../../src/config/limit-settings.js';
import { nearestName } from '../../src/config/nearest-name.js';
import { environmentName, SETTING_PATHS, settingOf } from '../../src/config/settings.js';
import { readSetting } from '../../src/config/setting-value.js';
import { settingsDocument } from '../../src/config/settings-document.js';
import { LIMITS } from '../../src/limits.js';

/** The formatter aligns the columns of tables. */
function withoutAlignment(markdown: string): string {
  return markdown.replaceAll(/-{3,}/g, '---').replaceAll(/ +/g, ' ');
}

describe('the table of settings', () => {
  it('is what docs/configuration.md says (scripts/generate-configuration-docs.mjs writes it)', () => {
    const file = new URL('../../../../docs/configuration.md', import.meta.url);
    expect(withoutAlignment(readFileSync(file, 'utf8'))).toBe(withoutAlignment(settingsDocument()));
  });

  it('has a variable of its own for each setting', () => {
    const names = SETTING_PATHS.map(environmentName);
    expect(new Set(names).size).toBe(names.length);
    expect(environmentName('http.allowPlaintext')).toBe('VAULT_HTTP_ALLOW_PLAINTEXT');
    expect(environmentName('keystore.halfA')).toBe('VAULT_KEYSTORE_HALF_A');
  });

  it.each(SETTING_PATHS)('has a default for %s that its own check takes', (path) => {
    const setting = settingOf(path);
    const value = setting.default;
    const text =
      setting.kind === 'duration' && typeof value === 'number' ? formatDuration(value) : value;
    const check = () => (text === undefined ? 0 : readSetting([path], setting, text, '/'));
    expect(check).not.toThrow();
  });

  it('has a setting for each limit, which comes back as the limit', () => {
    const values = Object.fromEntries(SETTING_PATHS.map((path) => [path, settingOf(path).default]));
    const standards = Object.entries(LIMITS).map(([name, row]) => [name, row.default]);
    expect(limitsOf(values)).toEqual(Object.fromEntries(standards));
  });
});

describe('the configuration that init writes', () => {
  const text = configTemplate({ datadir: '/da"ta', listen: '127.0.0.1:7401' });

  it('has encryption on, and where the data are', () => {
    expect(parse(text)).toEqual({
      datadir: '/da"ta',
      http: { listen: '127.0.0.1:7401' },
      redis: { encryptCredentialDatabase: true },
      keystore: {},
      backup: {},
      authentication: {},
      log: {},
    });
  });

  it('is still TOML with every commented setting switched on', () => {
    const settings = text.replaceAll(/^# ((?:[a-zA-Z]+ = |\[collections).*)$/gm, '$1');
    expect(Object.keys(parse(settings))).toContain('collections');
  });
});

describe('durations', () => {
  it.each([0, 1, 999, 1000, 1500, 90_000, 3_600_000, 15_778_800_000, 90 * 86_400_000])(
    'of %d ms are written and read back exactly',
    (valueMs) => {
      expect(parseDuration(formatDuration(valueMs))).toBe(valueMs);
    },
  );
  it.each(['', 'soon', '-1d', '1 month', 'x'.repeat(200)])('are not %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('the nearest name', () => {
  it.each([
    ['lisen', 'listen'],
    ['ENCRYPTcredentialdatabse', 'encryptCredentialDatabase'],
    ['zzz', undefined],
  ])('of %s is %s', (met, name) => {
    expect(nearestName(met, ['listen', 'encryptCredentialDatabase'])).toBe(name);
  });
});
