/** Decrypt and a plain start, hit at each command and each reply. */
import { DECRYPT, PLAIN_START } from './operations.js';
import { testRedisFaults } from './redis-walk.js';

testRedisFaults('decrypt', [DECRYPT, PLAIN_START]);
