import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { AuditLog } from '../../src/session/audit-log.js';
import { RecordingLogger } from '../api-fixture.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const REFUSED = { action: 'sign-in by token refused', address: '192.0.2.1' };

function record(audit: AuditLog, event: Parameters<AuditLog['record']>[0], count: number): void {
  for (let i = 0; i < count; i++) audit.record(event);
}

test('writes forty lines of strangers at once, then twenty a second, and the number of the others', () => {
  const logger = new RecordingLogger();
  const audit = new AuditLog(logger);
  record(audit, REFUSED, 28_000);
  expect(logger.lines).toHaveLength(40);
  jest.advanceTimersByTime(1000);
  record(audit, REFUSED, 28_000);
  record(audit, { ...REFUSED, action: 'sign-in throttled' }, 3);
  expect(logger.lines).toHaveLength(60);
  jest.advanceTimersByTime(9000);
  expect(logger.lines).toHaveLength(61);
  expect(logger.lines.at(-1)).toEqual({
    level: 'info',
    message: 'audit',
    data: {
      action: 'lines of strangers left out',
      leftOut: { 'sign-in by token refused': 55_940, 'sign-in throttled': 3 },
    },
  });
});

test('leaves out nothing that a user did', () => {
  const logger = new RecordingLogger();
  const audit = new AuditLog(logger);
  record(audit, REFUSED, 1000);
  record(audit, { action: 'reveal', userId: '1' }, 1000);
  const reveals = logger.lines.filter(({ data }) => data['action'] === 'reveal');
  expect(reveals).toHaveLength(1000);
});

test('tells of what it left out when the server stops, and of nothing where there was none', () => {
  const logger = new RecordingLogger();
  const audit = new AuditLog(logger);
  audit.flush();
  record(audit, REFUSED, 41);
  audit.flush();
  audit.flush();
  jest.advanceTimersByTime(60_000);
  expect(logger.lines).toHaveLength(41);
  expect(logger.lines.at(-1)?.data).toMatchObject({ leftOut: { 'sign-in by token refused': 1 } });
});
