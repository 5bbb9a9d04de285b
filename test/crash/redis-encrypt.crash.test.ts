/** Encrypt, hit at each command and each reply. */
import { ENCRYPT } from './operations.js';
import { testRedisFaults } from './redis-walk.js';

testRedisFaults('encrypt', [ENCRYPT]);
