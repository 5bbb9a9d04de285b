/** The OpenAPI document against the server: each path, method, status and body. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { OperationRefusedError } from '@vault/redis-store';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { readFileSync } from 'node:fs';
import { KEY_ROUTES } from '../../src/http/key-rest.js';
import { OPEN_API_PATH, openApiDocument } from '../../src/http/open-api.js';
import { ServedDatabase } from '../../src/lifecycle/served-database.js';
import { ADMIN, ApiFixture, NO_BACKUP } from '../api-fixture.js';
import type { Database } from '../../src/rpc/database-port.js';

interface OpenApi {
  readonly info: { readonly version: string };
  readonly components: { readonly schemas: object };
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly responses: Readonly<Record<string, Answer>> }>>
    >
  >;
}
interface Answer {
  readonly content: { readonly 'application/json': { readonly schema: object } };
}

const BASIC = `Basic ${Buffer.from(`${ADMIN.email}:${ADMIN.password}`).toString('base64')}`;

let fixture: ApiFixture;
let document: OpenApi;
let token: string;
beforeAll(async () => {
  fixture = await ApiFixture.start({ limits: { throttledWaitMs: 0 } });
  token = await (await fixture.signIn()).call<string>('token.create', {});
  const response = await fetch(`${fixture.url}${OPEN_API_PATH}`);
  document = (await response.json()) as OpenApi;
});
beforeEach(() => {
  fixture.clock.aheadMs += 2000;
});
afterEach(() => serve(fixture.store.database));
afterAll(async () => fixture?.stop());

function serve(database: Database): void {
  fixture.api.setState({ mode: 'serving', database, backup: NO_BACKUP });
}

/** Each operation on keys fails. */
class FailingDatabase extends ServedDatabase {
  readonly #error: Error;

  constructor(error: Error) {
    super(fixture.store.database, []);
    this.#error = error;
  }
  override get inactiveKeyIds(): never {
    throw this.#error;
  }
  override async rotateKey(): Promise<never> {
    throw this.#error;
  }
  override async deleteInactiveKeys(): Promise<never> {
    throw this.#error;
  }
}

/** How each status is brought about; the request has an administrator's token unless it says otherwise. */
const CONDITIONS: Readonly<
  Record<string, () => Record<string, string> | void | Promise<Record<string, string>>>
> = {
  200: () => undefined,
  401: () => ({}),
  406: () => serve(new FailingDatabase(new OperationRefusedError('another operation runs'))),
  429: async () => {
    const wrong = `Basic ${Buffer.from('guessed:wrong').toString('base64')}`;
    const headers = { authorization: wrong };
    await fetch(`${fixture.url}${KEY_ROUTES[2]?.path}`, { headers });
    return headers;
  },
  500: () => serve(new FailingDatabase(new Error('unforeseen'))),
  503: () => fixture.api.setState({ mode: 'degraded', reason: 'oneHalf' }),
};

test('docs/openapi.json is the document (scripts/generate-open-api.mjs writes it)', () => {
  const file = new URL('../../../../docs/openapi.json', import.meta.url);
  const kept = JSON.parse(readFileSync(file, 'utf8')) as OpenApi;
  expect(kept).toEqual(JSON.parse(JSON.stringify(openApiDocument(kept.info.version))));
  expect(document).toEqual({ ...kept, info: { ...kept.info, version: '1.2.3' } });
});

describe('every operation of the document', () => {
  const described = openApiDocument('0') as unknown as OpenApi;
  const cases = Object.entries(described.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { responses }]) =>
      Object.keys(responses).map((status) => [method.toUpperCase(), path, status] as const),
    ),
  );

  test('is a route, and every route is there', () => {
    const routes = KEY_ROUTES.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(cases.map(([method, path]) => `${method} ${path}`))).toEqual(new Set(routes));
  });

  test.each(cases)('%s %s answers %s with the body it says', async (method, path, status) => {
    const headers = (await CONDITIONS[status]?.()) ?? { authorization: `Bearer ${token}` };
    const response = await fetch(`${fixture.url}${path}`, { method, headers });
    expect(response.status).toBe(Number(status));
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const answer = document.paths[path]?.[method.toLowerCase()]?.responses[status];
    const ajv = new Ajv2020({ strict: false });
    const { components } = document;
    const validate = ajv.compile({ ...answer?.content['application/json'].schema, components });
    const body: unknown = await response.json();
    expect(validate(body) ? [] : validate.errors).toEqual([]);
    expect(validate({})).toBe(false);
  });

  test.each<[string, () => Record<string, string>]>([
    ['password', () => ({ authorization: BASIC })],
    ['bearer', () => ({ authorization: `Bearer ${token}` })],
    ['cookie', () => ({ cookie: `authenticationToken=${token}` })],
    ['crowdCookie', () => ({ cookie: `crowd.token_key=${token}` })],
  ])('takes credentials as %s', async (_, headersOf) => {
    const url = `${fixture.url}/rest/secrets/1.0/keys/inactive`;
    expect((await fetch(url, { headers: headersOf() })).status).toBe(200);
  });
});
