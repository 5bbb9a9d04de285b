/** `encryption.*`: the state of the encryption, for administrators. */
import { method } from '../rpc/method.js';
import type { Method } from '../rpc/method.js';

export const ENCRYPTION_METHODS: readonly Method[] = [
  method({
    name: 'encryption.getStatus',
    description: 'says how the database is encrypted: state, key ids, halves, warnings',
    permission: 'admin',
    result: 'object; no secret in it',
    handler: (_, { services }) => services.database.status(),
  }),
  method({
    name: 'encryption.verify',
    description:
      'reads every record and every index entry and reports what is wrong, by collection, id and reason; changes nothing',
    permission: 'admin',
    result: 'report; no stored value in it',
    handler: (_, { services, progress }) =>
      services.database.verify({
        onProgress: ({ phase, done, total }) => progress(phase, done, total),
      }),
  }),
];
