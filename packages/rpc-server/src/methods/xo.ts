/** `xo.getAllObjects`: every record of every collection but users and tokens, as objects by id. */
import { Readable } from 'node:stream';
import { SERVER_COLLECTIONS } from '../builtin-collections.js';
import type { JsonObject } from '../protocol.js';
import { ApiError } from '../rpc/api-error.js';
import type { CallContext, Services } from '../rpc/call-context.js';
import { method } from '../rpc/method.js';
import type { Method } from '../rpc/method.js';
import { hasPermission } from '../session/session.js';
import type { Identity } from '../session/session.js';
import { hasCollection } from '../session/token-scope.js';
import { typedObject } from './collection-methods.js';
import { parseFilter } from './object-filter.js';
import type { ObjectFilter } from './object-filter.js';
import { recordPages } from '../rpc/record-pages.js';
import { WorkSlice } from '../rpc/work-slice.js';

/** More objects than clients show: who wants all takes the stream. */
const OBJECTS_MAX = 200_000;

/** Filtered after masking: a filter sees only what the caller may see. */
async function* objects(
  { database }: Services,
  filter: ObjectFilter,
  limit: number,
  caller: Identity,
): AsyncGenerator<JsonObject & { readonly id: string }> {
  // Who may read nothing has no objects, as in Xen Orchestra.
  if (!hasPermission(caller, 'read')) return;
  let left = limit;
  const slice = new WorkSlice();
  const hidden: readonly string[] = SERVER_COLLECTIONS;
  const isSeen = (name: string): boolean =>
    !hidden.includes(name) && hasCollection(caller.scope, name);
  for (const name of database.collections.filter(isSeen)) {
    const collection = database.collection(name);
    // oxlint-disable-next-line no-await-in-loop -- collections follow each other: memory stays flat
    for await (const page of recordPages(collection, {})) {
      for (const stored of page) {
        const object = typedObject(name, collection.definition, stored);
        const isWanted = filter(object);
        // oxlint-disable-next-line no-await-in-loop -- gives way to others when it has worked for long
        await slice.usedUp();
        if (!isWanted) continue;
        if (left === 0) return;
        left -= 1;
        yield { ...object, id: stored.id };
      }
    }
  }
}

async function* lines(source: AsyncIterable<JsonObject>): AsyncGenerator<string> {
  for await (const object of source) yield `${JSON.stringify(object)}\n`;
}

function offerLines(context: CallContext, filter: ObjectFilter, limit: number) {
  const { services, identity } = context;
  const offered = identity();
  return services.transfers.offerDownload(
    {
      fileName: 'objects.ndjson',
      contentType: 'application/x-ndjson',
      open: () => Readable.from(lines(objects(services, filter, limit, offered))),
    },
    {
      userId: offered.userId,
      tokenId: offered.tokenId,
      check: async () => {
        await services.assertStill(offered, offered.permission === 'none' ? 'none' : 'read');
      },
    },
  );
}

export const XO_METHODS: readonly Method[] = [
  method({
    name: 'xo.getAllObjects',
    description:
      'gives all objects that fit the filter and the caller may read, their secrets masked',
    params: {
      filter: {
        type: ['object', 'string'],
        optional: true,
        description: 'properties that objects must have, or words such as type:server label:prod',
      },
      limit: { type: 'integer', minimum: 0, optional: true, description: 'most objects' },
      ndjson: {
        type: 'boolean',
        optional: true,
        description: 'as a file, one object a line, of any length',
      },
    },
    permission: 'none',
    atOncePerUser: 1,
    effect: 'reads',
    collection: 'every',
    result: 'objects by id, or {$getFrom}',
    async handler({ filter, limit = Infinity, ndjson = false }, context) {
      const matches = parseFilter(filter);
      if (ndjson) return offerLines(context, matches, limit);
      // No prototype: an id is a name like any other in it.
      const found = Object.create(null) as Record<string, JsonObject>;
      let count = 0;
      for await (const object of objects(context.services, matches, limit, context.identity())) {
        count += 1;
        if (count > OBJECTS_MAX) {
          throw new ApiError(
            'RESULT_TOO_LARGE',
            `there are more than ${OBJECTS_MAX} objects: use filter, limit or ndjson`,
          );
        }
        found[object.id] = object;
      }
      return found;
    },
  }),
];
