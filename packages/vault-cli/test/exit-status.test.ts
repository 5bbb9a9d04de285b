import { describe, expect, it } from '@jest/globals';
import { CLI_ERRORS, CallRefusedError, CliError, type CliErrorCode } from '../src/errors.js';
import { EXIT_STATUSES, exitStatusOf, SERVER_ERRORS } from '../src/exit-status.js';
// The one test that may: the compiler compares the tables, this compares that it did.
import { ERROR_CODES } from '../../rpc-server/src/protocol.js';

describe('exitStatusOf', () => {
  it('gives each error of ours a status that the help explains, and never success', () => {
    const known = new Set<number>(Object.values(EXIT_STATUSES).map(({ status }) => status));
    for (const code of Object.keys(CLI_ERRORS) as CliErrorCode[]) {
      const status = exitStatusOf(new CliError(code, 'x'));
      expect(known).toContain(status);
      expect(status).not.toBe(0);
    }
  });

  it('knows every error of the protocol', () => {
    const pairs = (table: Readonly<Record<string, { readonly code: number }>>) =>
      Object.entries(table).map(([name, { code }]) => [name, code]);
    expect(pairs(SERVER_ERRORS)).toEqual(pairs(ERROR_CODES));
  });

  it.each([
    ['degraded', new CallRefusedError(-32001, 'x', {}), 6],
    ['credentials', new CallRefusedError(3, 'x', undefined), 3],
    ['unknown to this version', new CallRefusedError(999, 'x', undefined), 1],
    ['a defect', new TypeError('x'), 1],
    ['anything', 'x', 1],
  ])('of %s', (_name, error, status) => {
    expect(exitStatusOf(error)).toBe(status);
  });

  it('has no status twice', () => {
    const statuses = Object.values(EXIT_STATUSES).map(({ status }) => status);
    expect(new Set(statuses).size).toBe(statuses.length);
  });
});
