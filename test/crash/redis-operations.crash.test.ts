/** Writes, unique claims, imports, rotation and deletion of keys, hit at each command and each reply. */
import { OPERATIONS } from './operations.js';
import { testRedisFaults } from './redis-walk.js';

testRedisFaults('operations', OPERATIONS);
