import { expect, test } from '@jest/globals';
import { checkDefinitions, checkRecord } from '../src/index.js';
import { checkRecordId } from '../src/records/record-id.js';

const RESERVED = ['__proto__', 'constructor', 'prototype'];
const SERVER = { fields: { host: { type: 'string' } }, indexes: {} } as const;

test.each(['a', 'A-_9', 'x'.repeat(128), '__proto', 'Constructor'])('%s can be an id', (id) => {
  expect(() => checkRecordId('server', id)).not.toThrow();
});

test.each(['', 'a b', 'a:b', 'é', 'x'.repeat(129)])('%j cannot', (id) => {
  expect(() => checkRecordId('server', id)).toThrow('server, field "id": expected ^[A-Za-z0-9_-]');
});

test.each(RESERVED)('%s cannot, not in an import either: clients key objects by id', (id) => {
  const message = 'server, field "id": none of __proto__, constructor, prototype can be an id';
  expect(() => checkRecordId('server', id)).toThrow(message);
  expect(() => checkRecord({ server: SERVER }, 'server', id, { host: 'h' })).toThrow(message);
});

test.each(['constructor', 'prototype'])('%s names no collection and no index', (name) => {
  expect(() => checkDefinitions({ [name]: SERVER })).toThrow('is not meta, constructor or proto');
  const indexes = { [name]: { kind: 'exact', fields: ['host'] } } as const;
  expect(() => checkDefinitions({ server: { ...SERVER, indexes } })).toThrow(
    'constructor or proto',
  );
});
