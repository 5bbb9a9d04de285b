import { expect, test } from '@jest/globals';
import { XO_METHODS } from '../../src/methods/xo.js';
import type { CallContext, Services } from '../../src/rpc/call-context.js';
import type { RecordCollection } from '../../src/rpc/database-port.js';

/** A page of records that were stored before such ids were refused. */
const IDS = ['__proto__', 'constructor', 'plain', 'toString'];
const COLLECTION = {
  name: 'secret',
  definition: { fields: { name: { type: 'string' } }, indexes: {} },
  list: async () => ({
    records: IDS.map((id) => ({ id, record: { name: `n-${id}` } })),
    unreadable: [],
    next: undefined,
  }),
} as unknown as RecordCollection;

test('xo.getAllObjects gives every object under its id, whatever that id means to JavaScript', async () => {
  const database = { collections: ['secret'], collection: () => COLLECTION };
  const context = {
    services: { database } as unknown as Services,
    identity: () => ({ permission: 'read' }),
  } as CallContext;
  const [getAllObjects] = XO_METHODS;
  const found = await getAllObjects?.handle({}, context);
  const read = JSON.parse(JSON.stringify(found)) as Record<string, { name: string }>;
  expect(Object.keys(read)).toEqual(IDS);
  expect(Object.entries(read).map(([id, { name }]) => name === `n-${id}`)).not.toContain(false);
});
