import { describe, expect, test } from '@jest/globals';
import { replyWord, translateError } from '../src/redis/redis-link.js';

/** As Redis 6.2 wraps an error that a command met inside a script. */
const inScript = (reply: string): string =>
  `ERR Error running script (call to f_d4cd13fb7a1b8a3ba2c6e2a1d5ee3b53): @user_script:102: @user_script: 102: -${reply}`;

describe('the word of an error reply', () => {
  test.each([
    ["READONLY You can't write against a read only replica.", 'READONLY'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'OOM'],
    ['MISCONF Redis is configured to save RDB snapshots', 'MISCONF'],
  ])('of %s is the same from a script of Redis 6.2', (reply, word) => {
    expect(replyWord(reply)).toBe(word);
    expect(replyWord(inScript(reply))).toBe(word);
    const error = Object.assign(new Error(inScript(reply)), { name: 'ReplyError' });
    expect(translateError(error)).toMatchObject({ code: 'REDIS_REFUSED', reply: word });
  });

  test('is ERR where a script failed by itself', () => {
    const own =
      'ERR Error running script (call to f_0): @user_script:3: Script attempted to access';
    expect(replyWord(own)).toBe('ERR');
  });
});
