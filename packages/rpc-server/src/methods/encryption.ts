/** `encryption.*`: the state of the encryption and its keys, for administrators. */
import { OperationRefusedError } from '@vault/redis-store';
import type { JsonObject } from '../protocol.js';
import type { CallContext } from '../rpc/call-context.js';
import type { DeletionResult } from '../rpc/database-port.js';
import { method } from '../rpc/method.js';
import type { Method } from '../rpc/method.js';

function audit({ services, identity, address }: CallContext, action: string): void {
  services.audit.record({ action, userId: identity().userId, address });
}

export const ENCRYPTION_METHODS: readonly Method[] = [
  method({
    name: 'encryption.getStatus',
    description: 'says how the database is encrypted: state, key ids, halves, warnings',
    effect: 'reads',
    permission: 'admin',
    result: 'object; no secret in it',
    handler: (_, { services }) => services.database.status(),
  }),
  method({
    name: 'encryption.verify',
    description:
      'reads every record and every index entry and reports what is wrong, by collection, id and reason; changes nothing',
    effect: 'reads',
    permission: 'admin',
    result: 'report; no stored value in it',
    handler: (_, { services, progress }) =>
      services.database.verify({
        onProgress: ({ phase, done, total }) => progress(phase, done, total),
      }),
  }),
  method({
    name: 'encryption.rotateKeys',
    description:
      'makes a new key and encrypts every record anew under it while the server serves; the old key is inactive then',
    permission: 'admin',
    result: 'object {activeKeyId, previousKeyId, records}',
    async handler(_, context) {
      const { services, progress } = context;
      audit(context, 'encryption.rotateKeys');
      return services.progress.during(
        ({ phase, done, total }) => progress(phase, done, total),
        () => services.database.rotateKey(),
      );
    },
  }),
  method({
    name: 'encryption.retry',
    description:
      'takes up, now, a rewriting of all records that failed; without a call it is taken up with growing pauses, and by each start',
    permission: 'admin',
    result:
      'boolean, true: nothing is to be rewritten any more; else an error with the cause and what to do',
    async handler(_, context) {
      audit(context, 'encryption.retry');
      const failure = await context.services.database.retryOperation();
      if (failure === undefined) return true;
      throw new OperationRefusedError(`it failed again: ${failure.cause}; ${failure.advice}`);
    },
  }),
  method({
    name: 'encryption.getInactiveKeys',
    description: 'gives the ids of the keys that nothing is encrypted under any more',
    effect: 'reads',
    permission: 'admin',
    result: 'array of key ids',
    handler: (_, { services }) => [...services.database.inactiveKeyIds],
  }),
  method({
    name: 'encryption.deleteInactiveKeys',
    description:
      'deletes the inactive keys for ever, once it is proven that neither a record nor a kept backup needs them; where others may share a place of their halves they are condemned first, and deleted by a call after `keystore.deletionGrace`',
    permission: 'admin',
    params: {
      now: {
        type: 'boolean',
        optional: true,
        description: 'without regard to others who may share the halves, and to the grace',
      },
    },
    result:
      'object {deletedKeys: [id], condemnedKeys: [{keyId, since, until}], notErased: [{keyId, place, reason}]}',
    async handler({ now = false }, context) {
      audit(context, 'encryption.deleteInactiveKeys');
      return deletionJson(await context.services.database.deleteInactiveKeys({ now }));
    },
  }),
  method({
    name: 'encryption.putBackKeys',
    description:
      'puts halves of the keys in use back where they were lost, from the memory of this server',
    permission: 'admin',
    result: 'array of the ids of the keys that were not whole',
    async handler(_, context) {
      audit(context, 'encryption.putBackKeys');
      return [...(await context.services.database.putBackKeys())];
    },
  }),
];

function deletionJson({ deletedKeys, condemnedKeys, notErased }: DeletionResult): JsonObject {
  return {
    deletedKeys: [...deletedKeys],
    condemnedKeys: condemnedKeys.map((key) => ({ ...key })),
    notErased: notErased.map((remnant) => ({ ...remnant })),
  };
}
