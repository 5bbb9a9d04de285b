import debug from 'debug';
import { describe, expect, it } from '@jest/globals';
import { createLog } from '../src/log.js';
import { AuditLog } from '../src/session/audit-log.js';
import type { LogLevel, LogOptions } from '../src/log.js';

function record(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({
    write: (line) => lines.push(line),
    now: () => new Date(Date.UTC(2026, 10, 22, 6, 5)),
    ...options,
  });
  return { lines, log };
}

describe('the log', () => {
  it('writes the line of the model, with time and data', () => {
    const { lines, log } = record();
    log('crypto-credentials').error(
      'Credential database migration failed - running in degraded mode',
      { backupPath: '/var/lib/vault-server/data/encryption-backup.json', cause: undefined },
    );
    expect(lines).toEqual([
      "2026-11-22T06:05:00.000Z vault:crypto-credentials ERROR Credential database migration failed - running in degraded mode { backupPath: '/var/lib/vault-server/data/encryption-backup.json' }\n",
    ]);
  });

  it.each<[LogLevel, number]>([
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
  ])('from level %s writes %d of the four levels', (level, count) => {
    const { lines, log } = record({ level });
    const logger = log('server');
    for (const name of ['debug', 'info', 'warn', 'error'] as const) logger[name]('x');
    expect(lines).toHaveLength(count);
  });

  it('writes audit lines at any level', () => {
    const { lines, log } = record({ level: 'error' });
    new AuditLog(log('api')).record({
      action: 'reveal',
      userId: 'u',
      collection: 'server',
      id: 's',
    });
    expect(lines).toEqual([expect.stringContaining("audit { action: 'reveal'")]);
  });

  it('writes debug lines of the namespaces that are named', () => {
    const { lines, log } = record({ level: 'error', debugNamespaces: 'vault:*,-vault:http' });
    log('redis').debug('shown');
    log('http').debug('not shown');
    expect(lines).toHaveLength(1);
  });

  it('takes * for all lines of its own, and never lets a library write its debug lines', () => {
    const { lines, log } = record({ level: 'error', debugNamespaces: '*,ioredis:*,-vault:http' });
    log('redis').debug('shown');
    log('http').debug('not shown');
    expect(lines).toHaveLength(1);
    expect(debug.enabled('ioredis:redis')).toBe(false);
  });

  it('keeps one event on one line, whatever a client sends', () => {
    const { lines, log } = record();
    log('api').info('name\n2026 vault:api ERROR forged\u001b[2J', { user: 'a\nb\u2028c' });
    expect(lines.join('').trimEnd().split('\n')).toHaveLength(1);
    expect(lines[0]).not.toContain('\u001b');
  });

  it('shows an error by message and code, without stack, cause and other properties', () => {
    const { lines, log } = record();
    const cause = new Error('hunter2secret');
    const error = Object.assign(new Error('no answer', { cause }), {
      code: 'ECONNREFUSED',
      command: { args: ['hunter2secret'] },
    });
    log('redis').error('failed', { cause: error });
    expect(lines[0]).toContain("{ cause: 'no answer (ECONNREFUSED)' }");
    expect(lines[0]).not.toContain('hunter2secret');
  });
});
