/** The OpenRPC 1.2.6 document of the API, made from the method table: result of `rpc.discover`. */
import { ERROR_CODES } from '../protocol.js';
import type { ErrorName, Permission } from '../protocol.js';
import type { Method } from './method.js';
import { isOptional, schemaOf } from './parameters.js';

/** What any method can answer instead of a result. */
const ERRORS_OF_ALL: readonly ErrorName[] = [
  'INTERNAL',
  'DEGRADED',
  'STARTING',
  'INVALID_PARAMETERS',
  'SERVICE_UNAVAILABLE',
];

function permissionText(permission: Permission | null): string {
  if (permission === null) return 'Needs no sign-in.';
  if (permission === 'none') return 'Needs a sign-in.';
  return `Needs permission \`${permission}\`.`;
}

function methodObject(method: Method, name: string): object {
  const { permission } = method;
  const errors = permission === null ? ERRORS_OF_ALL : [...ERRORS_OF_ALL, 'UNAUTHORIZED' as const];
  const params = Object.entries(method.params)
    // OpenRPC wants the required ones first.
    .toSorted(([, a], [, b]) => Number(isOptional(a)) - Number(isOptional(b)))
    .map(([parameter, info]) => ({
      name: parameter,
      required: !isOptional(info),
      schema: schemaOf(info),
    }));
  return {
    name,
    summary: method.description,
    description: `${permissionText(permission)} Result: ${method.result}.`,
    paramStructure: 'by-name',
    params,
    result: { name: 'result', description: method.result, schema: true },
    errors: errors.map((error) => ({
      code: ERROR_CODES[error].code,
      message: ERROR_CODES[error].when,
    })),
    ...(name === method.name
      ? {}
      : { deprecated: false, tags: [{ name: `alias of ${method.name}` }] }),
  };
}

export function openRpcDocument(methods: readonly Method[], version: string): object {
  return {
    openrpc: '1.2.6',
    info: {
      title: 'vault-server',
      version,
      description: 'Credentials encrypted in Redis, over JSON-RPC 2.0 in a WebSocket at /api/.',
      license: { name: 'MIT' },
    },
    methods: methods.flatMap((method) =>
      [method.name, ...method.aliases].map((name) => methodObject(method, name)),
    ),
  };
}
