/** Every method of the API. */
import type { CollectionDefinitions } from '@vault/redis-store';
import { SERVER_COLLECTIONS } from '../builtin-collections.js';
import type { Method } from '../rpc/method.js';
import { methodsOfCollection } from './collection-methods.js';
import { ENCRYPTION_METHODS } from './encryption.js';
import { SESSION_METHODS } from './session.js';
import { SYSTEM_METHODS } from './system.js';
import { TOKEN_METHODS } from './token.js';
import { USER_METHODS } from './user.js';
import { XO_METHODS } from './xo.js';

/** Methods that every server has. */
export const API_METHODS: readonly Method[] = [
  ...SYSTEM_METHODS,
  ...SESSION_METHODS,
  ...TOKEN_METHODS,
  ...USER_METHODS,
  ...ENCRYPTION_METHODS,
  ...XO_METHODS,
];

/** Methods of all collections but those that only the server reaches. */
export function collectionMethods(definitions: CollectionDefinitions): Method[] {
  const hidden: readonly string[] = SERVER_COLLECTIONS;
  return Object.entries(definitions)
    .filter(([name]) => !hidden.includes(name))
    .flatMap(([name, definition]) => methodsOfCollection(name, definition));
}
