/**
 * The OpenAPI 3.1 document of the key management over HTTP, made from the table of its routes:
 * served at `/rest/openapi.json`, and kept as docs/openapi.json.
 */
import type { FastifyInstance } from 'fastify';
import { KEY_ROUTES } from './key-rest.js';

export const OPEN_API_PATH = '/rest/openapi.json';

type Schema = Readonly<Record<string, unknown>>;

const KEY_ID: Schema = { type: 'string', pattern: '^[0-9a-f]{16}$' };

const TIME: Schema = { type: 'string', pattern: String.raw`^\d{4}-\d\d-\d\dT[\d:.]+Z$` };

function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', properties, required: Object.keys(properties) };
}
function keyList(name: string): Schema {
  return object({ [name]: { type: 'array', items: KEY_ID } });
}

const SCHEMAS = {
  Rotation: object({
    message: { type: 'string', description: 'What was done, with both key ids.' },
    status: { const: 'SUCCESS' },
  }),
  InactiveKeys: keyList('inactiveKeys'),
  DeletedKeys: object({
    deletedKeys: {
      type: 'array',
      items: KEY_ID,
      description: 'Gone: no line of them is left where the server writes.',
    },
    condemnedKeys: {
      type: 'array',
      items: object({ keyId: KEY_ID, since: TIME, until: TIME }),
      description:
        'Open still, since others may share a place of their halves: the same request from `until` on deletes them, unless whoever uses one objected.',
    },
    notErased: {
      type: 'array',
      items: object({ keyId: KEY_ID, place: { type: 'string' }, reason: { type: 'string' } }),
      description: 'Halves of deleted keys that the server could not erase, and why.',
    },
  }),
  Failure: object({
    message: { type: 'string', description: 'Why; no stored value is ever in it.' },
    status: { const: 'FAILED' },
  }),
} satisfies Readonly<Record<string, Schema>>;

const FAILURES = {
  401: 'The credentials are missing or wrong, or not those of an administrator.',
  406: 'Conditions are not met, and nothing was changed: the message says which.',
  429: 'After wrong passwords for that name it is too early for another one: wait some seconds.',
  500: 'Anything unexpected: the log of the server says what.',
  503: 'The server is starting, migrating or degraded, or Redis is away.',
} as const;
type FailureStatus = keyof typeof FAILURES;

interface OperationRow {
  readonly operationId: string;
  readonly summary: string;
  readonly result: keyof typeof SCHEMAS;
  readonly success: string;
  readonly failures: readonly FailureStatus[];
  readonly parameters?: readonly Schema[];
}

const ROTATION = {
  summary:
    'Makes a new key and encrypts every record anew under it, while the server serves; the old key is inactive then.',
  result: 'Rotation',
  success: 'The key was rotated.',
  failures: [401, 406, 429, 500, 503],
} as const;

/** By method and path of {@link KEY_ROUTES}. */
const OPERATIONS: Readonly<Record<string, OperationRow>> = {
  'POST /rest/secrets/1.0/keys/rotate': { operationId: 'rotateKey', ...ROTATION },
  'PUT /rest/admin/1.0/encryption/changeKey': { operationId: 'changeKey', ...ROTATION },
  'GET /rest/secrets/1.0/keys/inactive': {
    operationId: 'getInactiveKeys',
    summary: 'Lists the keys that nothing is encrypted under any more.',
    result: 'InactiveKeys',
    success: 'Their ids.',
    failures: [401, 429, 500, 503],
  },
  'DELETE /rest/secrets/1.0/keys/inactive': {
    operationId: 'deleteInactiveKeys',
    summary:
      'Deletes the inactive keys for ever, once it is proven that no record and no kept backup needs one.',
    result: 'DeletedKeys',
    success: 'What was deleted, what is condemned, and what could not be erased.',
    failures: [401, 406, 429, 500, 503],
    parameters: [
      {
        name: 'now',
        in: 'query',
        required: false,
        schema: { type: 'boolean', default: false },
        description: 'Without regard to others who may share the halves, and to the grace.',
      },
    ],
  },
};

function response(description: string, schema: keyof typeof SCHEMAS): Schema {
  const content = { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } };
  return { description, content };
}

function operationObject(row: OperationRow): Schema {
  const { operationId, summary, result, success, failures, parameters } = row;
  return {
    operationId,
    summary,
    ...(parameters !== undefined && { parameters }),
    responses: {
      200: response(success, result),
      ...Object.fromEntries(
        failures.map((status) => [status, response(FAILURES[status], 'Failure')]),
      ),
    },
  };
}

/** @throws TypeError for a route that is not described here */
function pathsObject(): Schema {
  const paths: Record<string, Record<string, Schema>> = {};
  for (const { method, path } of KEY_ROUTES) {
    const row = OPERATIONS[`${method} ${path}`];
    if (row === undefined) throw new TypeError(`${method} ${path} is not described`);
    (paths[path] ??= {})[method.toLowerCase()] = operationObject(row);
  }
  return paths;
}

export function openApiDocument(version: string): Schema {
  return {
    openapi: '3.1.0',
    info: {
      title: 'vault-server: key management',
      version,
      description:
        'Rotate the key of the credential database, list and delete inactive keys: the paths, statuses and bodies of Atlassian Crowd. No request has a body; deletion alone has a parameter.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ password: [] }, { bearer: [] }, { cookie: [] }, { crowdCookie: [] }],
    paths: pathsObject(),
    components: {
      schemas: SCHEMAS,
      securitySchemes: {
        password: { type: 'http', scheme: 'basic', description: 'An administrator, UTF-8.' },
        bearer: { type: 'http', scheme: 'bearer', description: 'A token of `token.create`.' },
        cookie: { type: 'apiKey', in: 'cookie', name: 'authenticationToken' },
        crowdCookie: { type: 'apiKey', in: 'cookie', name: 'crowd.token_key' },
      },
    },
  };
}

/** Adds the route. It needs no sign-in: the document is the same for everybody. */
export function serveOpenApi(app: FastifyInstance, version: string): void {
  const document = openApiDocument(version);
  app.get(OPEN_API_PATH, () => document);
}
