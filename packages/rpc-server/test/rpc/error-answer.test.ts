import { expect, test } from '@jest/globals';
import {
  DegradedError,
  OperationRefusedError,
  QueryInvalidError,
  RecordExistsError,
  RecordInvalidError,
  RecordNotFoundError,
  RecordUnreadableError,
  RedisRefusedError,
  RedisUnavailableError,
  RevisionConflictError,
  StateStaleError,
  UniqueConflictError,
} from '@vault/redis-store';
import { BackupError } from '../../src/backup/errors.js';
import { ERROR_CODES } from '../../src/protocol.js';
import { noSuchObject, unauthorized } from '../../src/rpc/api-error.js';
import { answerOf } from '../../src/rpc/error-answer.js';

test.each([
  [new RecordNotFoundError('server', 'x'), 1, { id: 'x', type: 'server' }],
  [new RecordExistsError('server', 'x'), 16, { objectId: 'x', objectType: 'server' }],
  [new UniqueConflictError('server', 'host', 'y'), 16, { objectId: 'y', objectType: 'server' }],
  [new RevisionConflictError('server', 'x'), 25, { property: 'revision' }],
  [new RecordUnreadableError('server', 'x', 'tampered'), 21, { code: 'RECORD_UNREADABLE' }],
  [
    new RecordInvalidError('server', 'host', 'is required'),
    10,
    { errors: [{ instancePath: '/host' }] },
  ],
  [new QueryInvalidError('server', 'no such field'), 10, { errors: [{ instancePath: '' }] }],
  [new StateStaleError(), 25, { property: 'state' }],
  [new DegradedError('keysMissing', {}), -32001, { reason: 'keysMissing' }],
  [new RedisUnavailableError('gone'), 28, { serviceName: 'redis' }],
  [new RedisRefusedError('OOM', 'give it memory'), 28, { serviceName: 'redis' }],
  [new OperationRefusedError('not now'), 5, { reason: 'not now' }],
  [new BackupError('BACKUP_UNREADABLE'), 21, { code: 'BACKUP_UNREADABLE' }],
  [noSuchObject('x', 'server'), 1, { id: 'x', type: 'server' }],
  [unauthorized('admin'), 2, { permission: 'admin', object: {} }],
])('%p becomes code %p', (error, code, data) => {
  expect(answerOf(error, false)).toMatchObject({ code, data });
});

test('says why a record cannot be read to nobody', () => {
  const answer = answerOf(new RecordUnreadableError('server', 'x', 'tampered'), true);
  expect(JSON.stringify(answer)).not.toContain('tampered');
});

test('hides what was not foreseen from all but administrators', () => {
  const error = new TypeError('the detail');
  expect(answerOf(error, false)).toEqual({ code: -32000, message: 'unknown error from the peer' });
  expect(answerOf(error, true)).toEqual({
    code: -32000,
    message: 'the detail',
    data: { name: 'TypeError', message: 'the detail' },
  });
  expect(answerOf('no error at all', true)).toMatchObject({ code: -32000 });
});

test('gives each error an integer code of its own', () => {
  const codes = Object.values(ERROR_CODES).map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
  expect(codes.every((code) => Number.isInteger(code))).toBe(true);
});
