import { readFileSync } from 'node:fs';
import * as openRpc from '@open-rpc/meta-schema';
import { Ajv } from 'ajv';
import { describe, expect, test } from '@jest/globals';
import { BUILTIN_COLLECTIONS } from '../../src/builtin-collections.js';
import { apiDocument } from '../../src/methods/api-document.js';
import { API_METHODS, collectionMethods } from '../../src/methods/index.js';
import { MethodTable } from '../../src/rpc/method-table.js';
import { openRpcDocument } from '../../src/rpc/open-rpc.js';

// Its declarations have only types, and leave out the schema that it exports.
const { openrpcDocument: metaSchema } = openRpc as unknown as { openrpcDocument: object };

const METHODS = [...API_METHODS, ...collectionMethods(BUILTIN_COLLECTIONS)];
const TABLE = new MethodTable(METHODS);

/** The formatter aligns the columns of tables. */
function withoutAlignment(markdown: string): string {
  return markdown.replaceAll(/-{3,}/g, '---').replaceAll(/ +/g, ' ');
}

describe('the OpenRPC document', () => {
  // It points to a copy of JSON schema's own schema elsewhere; ajv has draft 7 built in.
  const jsonSchema = {
    anyOf: [{ type: 'boolean' }, { $ref: 'http://json-schema.org/draft-07/schema#' }],
    definitions: { JSONSchemaObject: { properties: { $ref: { type: 'string' } } } },
  };
  const validate = new Ajv({ strict: false, logger: false })
    .addSchema(jsonSchema, 'https://meta.json-schema.tools')
    .addSchema(jsonSchema, 'https://meta.json-schema.tools/')
    .compile({ ...metaSchema, $schema: 'http://json-schema.org/draft-07/schema#' });

  test('fits the meta schema', () => {
    const document = openRpcDocument(TABLE.methods, '1.2.3');
    validate(document);
    expect(validate.errors ?? []).toEqual([]);
  });

  test('would not fit it with a method that has no parameters', () => {
    expect(validate({ ...openRpcDocument([], '1'), methods: [{ name: 'x' }] })).toBe(false);
  });

  test('describes every method and alias, required parameters first', () => {
    const { methods } = openRpcDocument(TABLE.methods, '1.2.3') as {
      methods: { name: string; params: { required: boolean }[] }[];
    };
    expect(methods.map(({ name }) => name).toSorted()).toEqual(TABLE.names);
    for (const { params } of methods) {
      const required = params.map((parameter) => parameter.required);
      expect(required).toEqual(required.toSorted((a, b) => Number(b) - Number(a)));
    }
  });
});

describe('system.getMethodsInfo', () => {
  test("has Xen Orchestra's form", () => {
    expect(TABLE.info['session.getUser']).toEqual({
      description: expect.any(String),
      params: {},
      permission: null,
    });
    expect(TABLE.info['token.create']).not.toHaveProperty('permission');
    expect(TABLE.info['server.add']).toMatchObject({
      permission: 'write',
      params: { host: { type: 'string' }, label: { type: 'string', optional: true } },
    });
    expect(Object.keys(TABLE.info)).toEqual(TABLE.names);
  });

  test('is public for exactly what needs no sign-in', () => {
    const open = Object.entries(TABLE.info).filter(([, { permission }]) => permission === null);
    expect(open.map(([name]) => name)).toEqual([
      'rpc.discover',
      'session.getUser',
      'session.signIn',
      'session.signInWithPassword',
      'session.signInWithToken',
      'system.getMethodsInfo',
      'system.getServerVersion',
      'system.getVersion',
      'system.listMethods',
      'system.methodSignature',
    ]);
  });

  test('is JSON: what a client gets is what is here', () => {
    expect(JSON.parse(JSON.stringify(TABLE.info))).toEqual(TABLE.info);
  });
});

test('no two methods have one name', () => {
  const [first] = METHODS;
  expect(() => new MethodTable([...METHODS, ...(first === undefined ? [] : [first])])).toThrow(
    'two methods are named system.getMethodsInfo',
  );
});

test('docs/api.md is what scripts/generate-api-docs.mjs makes of the tables', () => {
  const file = new URL('../../../../docs/api.md', import.meta.url);
  expect(withoutAlignment(readFileSync(file, 'utf8'))).toBe(withoutAlignment(apiDocument()));
});
