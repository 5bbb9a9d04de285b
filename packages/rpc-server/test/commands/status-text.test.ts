/** What an operator reads: nothing is called missing that is not needed, and a server that is degraded says where to look. */
import { describe, expect, it } from '@jest/globals';
import type { KeyId } from '@vault/crypto';
import type { StatusReport } from '../../src/commands/status.js';
import { statusText } from '../../src/commands/status-text.js';

type Half = StatusReport['halves']['halves'][number];
const HALF_A: Half = {
  half: 'A',
  source: 'xenstore',
  place: 'vm-data/vault-encryption-key',
  status: 'missing',
  keyIds: [],
  isShared: false,
  isWritable: true,
};
const HALVES = {
  state: 'none',
  keyIds: [],
  halves: [HALF_A, { ...HALF_A, half: 'B', source: 'file', place: '/data/vault-encryption-key' }],
  diagnosis: ['Half A (xenstore vm-data/vault-encryption-key) is missing.'],
  custodyWarnings: ['Both halves (xenstore and file) are in this virtual machine'],
  places: [],
} as const satisfies StatusReport['halves'];

const PLAINTEXT = {
  databaseId: 'ade81923-6bf2-4ed2-8a8a-c2e6e54b5ede',
  epoch: 2,
  state: 'plaintext',
  encrypt: null,
  origin: 'switched-on',
  pinned: false,
  activeKeyId: null,
  activeSince: null,
  encryptions: 0,
  isSuperseded: false,
  previousKeyId: null,
  pendingKeyId: null,
  inactiveKeyIds: [],
  condemnedKeys: [],
  missingHalves: [],
  halves: HALVES,
  migration: null,
  isImporting: false,
  underWay: null,
  operation: null,
  keptKeysBecause: null,
  keptFilesBecause: null,
  collections: {},
  processes: [],
  redis: [],
  redisWarnings: [],
  residueAdvice: [],
  rotation: null,
  recoveryKit: null,
  scheduledExport: null,
  machine: null,
} as const satisfies StatusReport['database'];

const SERVING: StatusReport = {
  configFile: '/etc/vault-server/config.toml',
  datadir: '/data',
  server: { url: 'http://127.0.0.1:7400', mode: 'serving' },
  halves: HALVES,
  missingHalves: [],
  database: PLAINTEXT,
};
const ENCRYPTION_FAILED: StatusReport = {
  ...SERVING,
  server: { ...SERVING.server, mode: 'degraded', reason: 'encryptionFailed' },
};

describe('the status for people', () => {
  it('calls no half missing, and warns of no custody, where the database is plaintext', () => {
    const text = statusText(SERVING);
    expect(text).toContain('half A        none: xenstore vm-data/vault-encryption-key');
    expect(text).not.toMatch(/missing|Diagnosis|Warnings/);
  });

  it('still says so where the database is encrypted', () => {
    const text = statusText({ ...SERVING, database: { ...PLAINTEXT, state: 'encrypted' } });
    expect(text).toContain('half A        missing: xenstore vm-data/vault-encryption-key');
    expect(text).toContain('Both halves (xenstore and file) are in this virtual machine');
  });

  it('says what is under way, what to do and what not', () => {
    const underWay = { what: 'records are encrypted', toDo: 'wait', notToDo: 'delete no half' };
    const database = { ...PLAINTEXT, state: 'encrypting', underWay } as const;
    const text = statusText({ ...SERVING, database });
    expect(text).toContain('  under way     records are encrypted\n');
    expect(text).toContain('  what to do    wait\n');
    expect(text).toContain('  what not      delete no half\n');
  });

  it('says what to do about a degraded server whose database can be opened', () => {
    const text = statusText(ENCRYPTION_FAILED);
    expect(text).toMatch(
      /message +Credential database encryption failed - running in degraded mode\n +what to do +read the cause in the log of the server/,
    );
    expect(statusText(SERVING)).not.toContain('what to do');
  });

  it('says what failed of an operation beside serving, and what to do instead of waiting', () => {
    const failed = {
      cause: 'two records',
      advice: 'change one',
      nextAt: '2026-11-26T00:00:00.000Z',
    };
    const underWay = { what: 'the indexes are being made anew', toDo: 'wait', notToDo: 'delete' };
    const database = { ...PLAINTEXT, underWay, operation: { kind: 'reindex', failed } } as const;
    const text = statusText({ ...SERVING, database });
    expect(text).toContain('failed        two records (tried again at 2026-11-26T00:00:00.000Z)');
    expect(text).toMatch(/what to do +change one/);
    expect(text).not.toMatch(/what to do +wait/);
  });

  it('has no advice to restart a server that tries again by itself', () => {
    const server = { ...SERVING.server, mode: 'degraded', reason: 'redisUnusable', retrying: true };
    expect(statusText({ ...SERVING, server })).not.toContain('what to do');
  });

  it('has no advice to restart a server that alone has a lost half in memory', () => {
    const { database: _, ...beside } = SERVING;
    const degraded = {
      reason: 'oneHalf',
      message: 'Only one encryption key half found - running in degraded mode',
      details: { advice: 'put the half back where it was, and restart' },
    };
    expect(statusText({ ...beside, degraded })).toContain('what to do    put the half back');
    const missingHalves = [{ keyId: 'e80e5466fb7f50fe' as KeyId, places: ['half A (file /a)'] }];
    const text = statusText({ ...beside, degraded, missingHalves });
    expect(text).toContain('what to do    do not restart the server');
    expect(text).not.toContain('and restart');
  });
});
