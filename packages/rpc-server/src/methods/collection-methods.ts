/**
 * The methods of one collection, made from its definition: `add`, `set`, `get`, `getAll`, `remove`,
 * `reveal`. Secret fields come back as one constant mask from all but `reveal`.
 */
import type { CollectionDefinition, FieldDefinition, FieldType } from '@vault/redis-store';
import { SECRET_MASK } from '../protocol.js';
import type { Json, JsonObject, ParameterInfo } from '../protocol.js';
import { forbiddenOperation, noSuchObject, unauthorized } from '../rpc/api-error.js';
import type { RecordFields, StoredRecord } from '../rpc/database-port.js';
import { method } from '../rpc/method.js';
import type { Method, ParameterTable } from '../rpc/method.js';
import { assertSecretsComeAlong } from './destination-rule.js';
import { isRevealAllowed } from '../session/session.js';
import { collectRecords } from '../rpc/record-pages.js';

/** Xen Orchestra's names for the same. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  'remote.add': ['remote.create'],
  'remote.remove': ['remote.delete'],
  'proxy.add': ['proxy.register'],
  'proxy.remove': ['proxy.unregister'],
};

/** Each may be as long as the longest answer. */
const LISTS_AT_ONCE = 4;

/** JSON schema of a field's value. A secret may be any JSON value. */
const FIELD_SCHEMAS = {
  string: { type: 'string' },
  number: { type: 'number' },
  boolean: { type: 'boolean' },
  json: {},
  secret: {},
} as const satisfies Record<FieldType, ParameterInfo>;

const ID = { id: { type: 'string', description: 'id of the record' } } as const;

function isOptionalField({ optional = true }: FieldDefinition): boolean {
  return optional;
}

function addParameters({ fields }: CollectionDefinition): ParameterTable {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const schema: ParameterInfo = FIELD_SCHEMAS[field.type];
      return [name, isOptionalField(field) ? { ...schema, optional: true } : schema];
    }),
  );
}

/** Every field may be left out, and an optional one may be `null`, which deletes it. */
function setParameters({ fields }: CollectionDefinition): ParameterTable {
  const changes = Object.entries(fields).map(([name, field]) => {
    const { type }: ParameterInfo = FIELD_SCHEMAS[field.type];
    const isNullable = typeof type === 'string' && isOptionalField(field);
    const schema = type === undefined ? {} : { type: isNullable ? [type, 'null'] : type };
    return [name, { ...schema, optional: true }] as const;
  });
  return { ...ID, ...Object.fromEntries(changes) };
}

/** The object that clients get: masked, and with `type`, as Xen Orchestra's objects have; a field of that name is not hidden by it. */
export function maskedObject(
  type: string,
  { fields }: CollectionDefinition,
  { id, record }: StoredRecord,
): JsonObject {
  // Filled name by name: made from entries, it would be slow to make and slow to write as JSON.
  const masked: Record<string, Json | undefined> = {};
  for (const name of Object.keys(record)) {
    // What no definition names may be a secret of an earlier definition.
    const isOpen = Object.hasOwn(fields, name) && fields[name]?.type !== 'secret';
    masked[name] = isOpen ? record[name] : SECRET_MASK;
  }
  return Object.assign(masked, Object.hasOwn(record, 'type') ? { id } : { id, type });
}

/** As {@link maskedObject}, for who gets objects of all collections at once: `type` is the collection, whatever its fields. */
export function typedObject(
  type: string,
  definition: CollectionDefinition,
  stored: StoredRecord,
): JsonObject {
  return Object.assign(maskedObject(type, definition, stored), { type });
}

/** What a `set` changes: a secret that is the mask is left, a `null` deletes an optional field. */
function changesOf(sent: JsonObject, { fields }: CollectionDefinition): RecordFields {
  const changes = Object.entries(sent).flatMap(([name, value]) => {
    const field = fields[name];
    if (field === undefined) return [];
    if (field.type === 'secret' && value === SECRET_MASK) return [];
    return [[name, value === null && isOptionalField(field) ? undefined : value] as const];
  });
  return Object.fromEntries(changes);
}

/** What an `add` stores: an optional field that is `null` is absent; the mask is nobody's password. */
function recordOf(name: string, sent: JsonObject, definition: CollectionDefinition): RecordFields {
  for (const [field, { type }] of Object.entries(definition.fields)) {
    if (type === 'secret' && sent[field] === SECRET_MASK) {
      throw forbiddenOperation(`${name}.add`, `${field} is the mask of a secret, not a secret`);
    }
  }
  return changesOf(sent, definition);
}

/** @throws {ApiError} NO_SUCH_OBJECT when there is none */
function present(stored: StoredRecord | undefined, name: string, id: string): StoredRecord {
  if (stored === undefined) throw noSuchObject(id, name);
  return stored;
}

/** All methods of the collection `name`. */
export function methodsOfCollection(name: string, definition: CollectionDefinition): Method[] {
  const mask = (stored: StoredRecord) => maskedObject(name, definition, stored);
  const typed = (stored: StoredRecord) => typedObject(name, definition, stored);
  const named = (verb: string) => ({
    name: `${name}.${verb}`,
    aliases: ALIASES[`${name}.${verb}`] ?? [],
    collection: name,
  });
  return [
    method({
      ...named('add'),
      description: `adds a ${name}`,
      params: addParameters(definition),
      permission: 'write',
      result: 'id of the new record',
      async handler(sent, { services, identity, address }) {
        const record = recordOf(name, sent as JsonObject, definition);
        const id = await services.database.collection(name).add(record);
        services.changes.enter(id, typed({ id, record }));
        const { userId } = identity();
        services.audit.record({ action: 'add', userId, address, collection: name, id });
        return id;
      },
    }),
    method({
      ...named('set'),
      description: `changes the named fields of a ${name}; null deletes one; a secret that is sent as the mask stays; who may not reveal changes a destination only with all its secrets`,
      params: setParameters(definition) as ParameterTable & typeof ID,
      permission: 'write',
      result: 'true',
      async handler({ id, ...changes }, { services, identity, address }) {
        const collection = services.database.collection(name);
        const caller = identity();
        const { userId } = caller;
        const wanted = changesOf(changes as JsonObject, definition);
        const stored = await collection.update(id, (record) => {
          // On what is stored at this moment, whoever else writes.
          if (!isRevealAllowed(caller)) {
            assertSecretsComeAlong(`${name}.set`, definition, record, wanted);
          }
          return { ...record, ...wanted };
        });
        services.changes.enter(id, typed(stored));
        services.audit.record({ action: 'set', userId, address, collection: name, id });
      },
    }),
    method({
      ...named('get'),
      description: `gives one ${name}, its secrets masked`,
      params: ID,
      effect: 'reads',
      permission: 'read',
      result:
        'the record with id, and type: the collection, unless the record has a field of that name',
      handler: async ({ id }, { services }) =>
        mask(present(await services.database.collection(name).get(id), name, id)),
    }),
    method({
      ...named('getAll'),
      description: `gives every ${name} that fits, in order of id, its secrets masked`,
      params: {
        filter: {
          type: 'object',
          optional: true,
          description: 'values that fields must have; an indexed one makes it fast',
        },
        after: { type: 'string', optional: true, description: 'the last id seen' },
        limit: { type: 'integer', minimum: 1, optional: true, description: 'most records' },
      },
      atOncePerUser: LISTS_AT_ONCE,
      effect: 'reads',
      permission: 'read',
      result: 'array of records, each as from get',
      async handler(query, { services }) {
        const collection = services.database.collection(name);
        return collectRecords(collection, query, mask, services.limits.answerBytes);
      },
    }),
    method({
      ...named('remove'),
      description: `removes a ${name}`,
      params: ID,
      permission: 'write',
      result: 'true',
      async handler({ id }, { services, identity, address }) {
        const { userId } = identity();
        if (!(await services.database.collection(name).remove(id))) throw noSuchObject(id, name);
        services.changes.exit(id);
        services.audit.record({ action: 'remove', userId, address, collection: name, id });
      },
    }),
    method({
      ...named('reveal'),
      description: `gives one ${name} with its secrets; needs permission admin or the grant mayReveal, and is audited`,
      params: ID,
      effect: 'reveals',
      permission: 'read',
      result: 'the whole record, as from get but for its secrets',
      async handler({ id }, { services, identity, address }) {
        const caller = identity();
        const { userId } = caller;
        if (!isRevealAllowed(caller)) {
          const event = { action: 'reveal refused', userId, address, collection: name, id };
          services.audit.record(event);
          throw unauthorized('reveal', { id, type: name });
        }
        const stored = await services.database.collection(name).get(id);
        const { record } = present(stored, name, id);
        // Before the answer leaves: what was shown is always in the log.
        services.audit.record({ action: 'reveal', userId, address, collection: name, id });
        return Object.hasOwn(record, 'type') ? { ...record, id } : { ...record, id, type: name };
      },
    }),
  ];
}
