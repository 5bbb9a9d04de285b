/**
 * `docs/api.md`, made from the tables of the protocol: methods, errors, limits, collections. A test
 * compares the file with what this gives.
 */
import type { FieldDefinition } from '@vault/redis-store';
import { BUILTIN_COLLECTIONS, SERVER_COLLECTIONS } from '../builtin-collections.js';
import { LIMITS } from '../limits.js';
import type { LimitRow } from '../limits.js';
import { ERROR_CODES } from '../protocol.js';
import type { ErrorCodeRow, ParameterInfo } from '../protocol.js';
import type { Method } from '../rpc/method.js';
import { isOptional } from '../rpc/parameters.js';
import { API_METHODS, collectionMethods } from './index.js';

const INTRODUCTION = `# The API

<!-- Made from packages/rpc-server/src by scripts/generate-api-docs.mjs; a test compares. -->

JSON-RPC 2.0 in text frames of a WebSocket at exactly \`/api/\`, compatible with \`xo-cli\` and \`xo-lib\`. Parameters go by
name, or by position in the order given here. Ids come back digit by digit, also 64-bit ones. A batch has at most 20 calls and
signs nobody in. Notifications get no answer. A method that gives nothing answers \`true\`. \`rpc.discover\` gives this page as an
OpenRPC document, \`system.getMethodsInfo\` in Xen Orchestra's form.

First call \`session.signIn\`. Permissions are \`none < read < write < admin\`; _public_ needs no sign-in, _signed in_ any user.
A parameter in brackets is optional. A name that ends in \`?\` is dropped where the method does not know it, and
\`server.get server=<id>\` is \`server.get id=<id>\`, both as in Xen Orchestra.
`;

const NOTIFICATIONS = `## Notifications

| method     | to whom                    | parameters                                                                                                            |
| ---------- | -------------------------- | --------------------------------------------------------------------------------------------------------------------- |
| \`all\`      | whoever may read           | \`{type: "enter", items: {<id>: <masked object>}}\` for new and changed ones, \`{type: "exit", items: {<id>: 0}}\` for removed ones |
| \`progress\` | the caller of a long call | \`{operation, phase, done, total}\`                                                                                     |

\`all\` tells of changes made through this server process; those of another process on the same Redis are seen by reading.
`;

const TRANSFERS = `## Files

A result \`{$getFrom: path}\` is fetched by one \`GET\`, \`{$sendTo: path}\` is served by one \`POST\` of the raw bytes, with a length or
chunked. The path is the only credential, is used up by the first request whatever its method, and lives five minutes. Downloads are
chunked: one that ends without the last chunk is not whole, and the log of the server says why. A refused upload, or a download that
cannot begin, is answered with a status from 400 on and the body \`{"error": {code, message, data}, "id": 0, "jsonrpc": "2.0"}\`.

\`system.exportConfig\` reads the database twice: first it makes the whole file, reads it again as an import does, and throws it away, so
that a record which cannot be read, or would not come back, is named before the first byte (\`data: {code, count, records: [{collection, id,
reason}]}\`). \`skipUnreadable\` leaves such records out; the file then names them under \`leftOut\`.

\`system.importConfig\` takes one of \`passphrase\` and \`allowUnprotected\`, at once: with a passphrase nothing but a file that is encrypted under it.
Records that cannot be imported are named as above, and nothing is imported, unless \`skipInvalid\` leaves them out. An import after which no
administrator could sign in is refused. It answers a text; a \`dryRun\` changes nothing and answers \`{"result": {records, collections, added,
changed, unchanged, replaced, changes: [{collection, id, change}], refused: {count, records}, missingInBackup, refusal}, …}\`, where \`refusal\` says
why the import would be refused, or is \`null\`.

## HTTP

| path       | answer                                                                                                  |
| ---------- | ------------------------------------------------------------------------------------------------------- |
| \`/\`        | the console: state, sign-in, encryption, records; nothing is kept in the browser                        |
| \`/healthz\` | 200 while the process runs                                                                              |
| \`/readyz\`  | 200 while it serves; 503 with \`{mode, reason}\` or \`{mode, progress}\` while starting, migrating or degraded; \`retrying: true\` beside them while Redis is away and it serves again by itself |
| \`/metrics\` | Prometheus' text format: calls by method and outcome, durations, sockets, mode, progress of a migration, age and use of the key, age and result of scheduled exports |

### Key management, as Atlassian Crowd has it

| request                                      | 200                        |
| -------------------------------------------- | -------------------------- |
| \`POST /rest/secrets/1.0/keys/rotate\`       | \`{"message", "status"}\`    |
| \`PUT /rest/admin/1.0/encryption/changeKey\` | the same                   |
| \`GET /rest/secrets/1.0/keys/inactive\`      | \`{"inactiveKeys": [<id>]}\` |
| \`DELETE /rest/secrets/1.0/keys/inactive\`   | \`{"deletedKeys": [<id>], "condemnedKeys": [{"keyId", "since", "until"}], "notErased": [{"keyId", "place", "reason"}]}\` |

\`deletedKeys\` names only what is gone. Where others may share a place of a key's halves, it is condemned first and opens still; the same request from
\`until\` on deletes it. \`?now=true\` does not wait, and does not ask.

Basic authentication, \`Authorization: Bearer <token>\`, or the token in a cookie \`authenticationToken\` or \`crowd.token_key\`. 401: not an
administrator. 406: conditions are not met, the message says which. 503: degraded or starting. 500: anything unexpected. The same as OpenAPI 3.1:
\`/rest/openapi.json\`, kept as [openapi.json](openapi.json).

A \`Host\` that is neither \`localhost\`, nor a literal address, nor in \`http.allowedHosts\` is refused with 421; an \`Origin\` that is neither the
server's own nor in \`http.allowedOrigins\`, and any other cross-site request of a browser, with 403.
`;

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))];
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

function parameterText([name, info]: readonly [string, ParameterInfo]): string {
  const { type, enum: values } = info;
  const kind =
    values?.map((value) => JSON.stringify(value)).join(' or ') ??
    (typeof type === 'string' ? type : (type?.join(' or ') ?? 'any'));
  return isOptional(info) ? `[${name}: ${kind}]` : `${name}: ${kind}`;
}

function permissionText({ permission }: Method): string {
  if (permission === null) return 'public';
  return permission === 'none' ? 'signed in' : permission;
}

function methodRow(method: Method): string[] {
  const { name, aliases, description, result } = method;
  const also = aliases.length === 0 ? '' : ` (also ${aliases.map((it) => `\`${it}\``).join(', ')})`;
  const parameters = Object.entries(method.params).map(parameterText).join(', ');
  return [
    `\`${name}\`${also}`,
    parameters === '' ? '' : `\`${parameters}\``,
    permissionText(method),
    description,
    result,
  ];
}

function methodTable(methods: readonly Method[]): string {
  const head = ['method', 'parameters', 'permission', 'what it does', 'result'];
  return table(head, methods.map(methodRow));
}

function namespaces(): string {
  const names = [...new Set(API_METHODS.map(({ name }) => name.split('.', 1)[0] ?? ''))];
  return names
    .map((namespace) => {
      const own = API_METHODS.filter(({ name }) => name.startsWith(`${namespace}.`));
      return `## ${namespace}\n\n${methodTable(own)}`;
    })
    .join('\n');
}

function collections(): string {
  const hidden: readonly string[] = SERVER_COLLECTIONS;
  const rows = Object.entries(BUILTIN_COLLECTIONS)
    .filter(([name]) => !hidden.includes(name))
    .map(([name, { fields, indexes }]) => {
      const described = Object.entries<FieldDefinition>(fields).map(
        ([field, { type, optional = true, destination = false }]) => {
          const text = `${field}: ${type}${destination ? ' →' : ''}`;
          return optional ? `[${text}]` : text;
        },
      );
      const indexed = Object.entries(indexes).map(
        ([index, { kind }]) => `${index}${kind === 'unique' ? ' (unique)' : ''}`,
      );
      return [`\`${name}\``, `\`${described.join(', ')}\``, indexed.join(', ')];
    });
  const { secret } = BUILTIN_COLLECTIONS;
  const example = methodTable(collectionMethods({ secret }));
  return `## Collections

Each collection but \`user\` and \`token\`, also one that the configuration declares, has the same six methods, made from its fields. Secret
fields come back as \`***obfuscated***\` from all but \`reveal\`; a \`set\` that sends that text back leaves them. \`reveal\` needs permission \`admin\` or
the grant \`mayReveal\` of the user, and is written to the log with who, which and when. \`remote.create\` and \`remote.delete\` are Xen
Orchestra's names of \`remote.add\` and \`remote.remove\`.

Fields with → are **destinations**: they say where the secrets of the record are sent, or how safely. Who may not reveal changes one only
together with every secret that the record has, sent again: else the call is refused, and \`data.fields\` names them.

A token has its user's rights, or less: \`token.create\` takes a **scope**. \`{"methods": ["server.*", "*.get"], "collections": ["server"],
"readOnly": true, "mayReveal": true, "mayCreateTokens": true}\`: each is optional, and what is given narrows. A token with a scope reveals
only with \`mayReveal\`; no token creates tokens without \`mayCreateTokens\`, and then none with more rights or a longer life than its own.
Users are made and given rights, and backups imported, only by a scope with both: such a user could do what the token may not. What a token created is deleted with it. Outside of its scope a call is refused with code 2; \`data.object.reason\` says why.

${table(['collection', 'fields', 'indexes'], rows)}
For example \`secret\`:

${example}`;
}

function errors(): string {
  const rows = Object.entries<ErrorCodeRow>(ERROR_CODES).map(([name, { code, when, advice }]) => [
    String(code),
    `\`${name}\``,
    when,
    advice,
  ]);
  return `## Errors\n\n${table(['code', 'name', 'when', 'what to do'], rows)}`;
}

function limits(): string {
  const rows = Object.entries<LimitRow>(LIMITS).map(([name, row]) => [
    `\`${name}\``,
    `${row.default} ${row.unit === 'count' ? '' : row.unit}`.trim(),
    row.description,
  ]);
  return `## Limits

All are settings: see [configuration.md](configuration.md).

${table(['limit', 'default', 'what it limits'], rows)}`;
}

/** The whole page, not yet formatted. */
export function apiDocument(): string {
  const parts = [namespaces(), collections(), NOTIFICATIONS, TRANSFERS, errors(), limits()];
  return [INTRODUCTION, ...parts].join('\n');
}
