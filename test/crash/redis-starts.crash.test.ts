/** Encrypt, decrypt and a plain start, hit at each command and each reply. */
import { STARTS } from './operations.js';
import { testRedisFaults } from './redis-walk.js';

testRedisFaults('starts', STARTS);
