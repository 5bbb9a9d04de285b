/** `system.*` and `rpc.discover`: the server itself. */
import { importText } from '../backup/config-backup.js';
import { importProtection } from '../backup/import-protection.js';
import type { TransferOwner } from '../http/transfers.js';
import { describeError } from '../log.js';
import { noSuchObject } from '../rpc/api-error.js';
import type { CallContext } from '../rpc/call-context.js';
import { constantResult } from '../rpc/constant-result.js';
import { method } from '../rpc/method.js';
import type { Method } from '../rpc/method.js';
import { assertMayGrant } from '../session/token-scope.js';
import type { MethodTable } from '../rpc/method-table.js';
import { openRpcDocument } from '../rpc/open-rpc.js';

/** Version of the protocol, which Xen Orchestra's API has been at since its beginning. */
const API_VERSION = '0.1';

const PASSPHRASE = {
  type: 'string',
  minLength: 0,
  optional: true,
  description: 'at least 12 characters; required while the database is encrypted',
} as const;

/** A transfer is used later, and takes its time: by then its user may have lost the right. */
function stillAdministrator(
  { services, identity, address }: CallContext,
  what: 'exportConfig' | 'importConfig',
): TransferOwner {
  const offered = identity();
  const { userId, tokenId } = offered;
  return {
    userId,
    tokenId,
    check: async () => {
      await services.assertStill(offered, 'admin');
    },
    onLost: () => {
      const reason = 'who asked for it is no administrator any more';
      services.audit.record({ action: `${what} ended`, userId, address, reason });
    },
  };
}

/** Of an import or export that does not even begin, the log says why, as it does of one that fails. */
function loggingRefusal<T>(
  { services, identity, address }: CallContext,
  what: 'exportConfig' | 'importConfig',
  prepare: () => T,
): T {
  try {
    return prepare();
  } catch (error) {
    const { userId } = identity();
    const reason = describeError(error);
    services.audit.record({ action: `${what} refused`, userId, address, reason });
    throw error;
  }
}

/** Made once: strangers may ask for it as often as they like. */
const discoveries = new WeakMap<MethodTable, object>();

function discovered(methods: MethodTable, version: string): object {
  const known = discoveries.get(methods);
  if (known !== undefined) return known;
  const document = constantResult(openRpcDocument(methods.methods, version));
  discoveries.set(methods, document);
  return document;
}

export const SYSTEM_METHODS: readonly Method[] = [
  method({
    name: 'system.getMethodsInfo',
    description: 'gives description, parameters and permission of every method',
    permission: null,
    result: 'object by method name',
    notInBatch: true,
    handler: (_, { methods }) => constantResult(methods.info),
  }),
  method({
    name: 'system.listMethods',
    description: 'gives the names of all methods',
    permission: null,
    result: 'array of names',
    handler: (_, { methods }) => [...methods.names],
  }),
  method({
    name: 'system.methodSignature',
    description: 'gives the parameters of one method',
    params: { name: { type: 'string' } },
    permission: null,
    result: 'array of one object: parameters by name',
    handler({ name }, { methods }) {
      const entry = methods.get(name);
      if (entry === undefined) throw noSuchObject(name, 'method');
      return [{ ...entry.method.params }];
    },
  }),
  method({
    name: 'rpc.discover',
    description: 'gives the OpenRPC document of this API',
    permission: null,
    result: 'OpenRPC document',
    notInBatch: true,
    handler: (_, { methods, services }) => discovered(methods, services.version),
  }),
  method({
    name: 'system.getServerVersion',
    description: 'gives the version of the server',
    permission: null,
    result: 'version',
    handler: (_, { services }) => services.version,
  }),
  method({
    name: 'system.getVersion',
    description: 'gives the version of the protocol',
    permission: null,
    result: 'version',
    handler: () => API_VERSION,
  }),
  method({
    name: 'system.getStatus',
    description: 'says how the server is: mode, version, uptime, collections',
    effect: 'reads',
    permission: 'none',
    result: 'object {mode, version, uptimeMs, collections}',
    handler(_, { services }) {
      const { version, startedAtMs, now, database } = services;
      const uptimeMs = now() - startedAtMs;
      return { mode: 'serving', version, uptimeMs, collections: [...database.collections] };
    },
  }),
  method({
    name: 'system.exportConfig',
    aliases: ['xo.exportConfig'],
    description: 'gives a backup of the configuration as a file: all records but tokens',
    params: {
      passphrase: PASSPHRASE,
      entries: {
        type: 'array',
        items: { type: 'string' },
        minItems: 1,
        optional: true,
        description: 'names of the collections; default all',
      },
      compress: { type: 'boolean', default: false, optional: true, description: 'with gzip' },
      skipUnreadable: {
        type: 'boolean',
        default: false,
        optional: true,
        description:
          'leave records out that cannot be read, or would not come back; without it such an export fails',
      },
    },
    effect: 'reveals',
    permission: 'admin',
    result: '{$getFrom}: URL to download from, once',
    handler(params, context) {
      const { services, identity, address } = context;
      const prepared = loggingRefusal(context, 'exportConfig', () =>
        services.backup.export(params),
      );
      services.audit.record({ action: 'exportConfig', userId: identity().userId, address });
      return services.transfers.offerDownload(
        prepared,
        stillAdministrator(context, 'exportConfig'),
      );
    },
  }),
  method({
    name: 'system.importConfig',
    aliases: ['xo.importConfig'],
    description: 'takes a backup of the configuration as a file; importing twice changes nothing',
    params: {
      passphrase: {
        ...PASSPHRASE,
        description: 'of the file; nothing but a file that is encrypted under it is taken then',
      },
      allowUnprotected: {
        type: 'boolean',
        default: false,
        optional: true,
        description:
          'take a file that is not encrypted, which anybody may have written; needed where there is no passphrase',
      },
      skipInvalid: {
        type: 'boolean',
        default: false,
        optional: true,
        description:
          'leave records out that cannot be imported; without it such an import is refused, naming them',
      },
      dryRun: {
        type: 'boolean',
        default: false,
        optional: true,
        description: 'say what would be added, changed, removed and refused; change nothing',
      },
    },
    permission: 'admin',
    result: '{$sendTo}: URL to upload to, once',
    handler(params, context) {
      const { services, identity, address } = context;
      const { userId } = identity();
      // A backup brings users with it, and their passwords.
      assertMayGrant(identity(), 'system.importConfig');
      loggingRefusal(context, 'importConfig', () => importProtection(params));
      return services.transfers.offerUpload(
        {
          async receive(body, assertStill) {
            const imported = await services.backup.import(body, params, assertStill);
            if (imported.dryRun) return imported;
            services.audit.record({ action: 'importConfig', userId, address });
            return importText(imported);
          },
        },
        stillAdministrator(context, 'importConfig'),
      );
    },
  }),
];
