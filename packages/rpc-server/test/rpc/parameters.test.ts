import { expect, test } from '@jest/globals';
import { ApiError } from '../../src/rpc/api-error.js';
import { method } from '../../src/rpc/method.js';
import { ParameterValidators } from '../../src/rpc/parameters.js';

const METHOD = method({
  name: 'server.try',
  description: 'for these tests',
  params: {
    id: { type: 'string' },
    count: { type: 'integer', default: 3, optional: true },
    label: { type: 'string', optional: true },
    note: { type: 'string', minLength: 0, optional: true },
    options: {
      type: 'object',
      optional: true,
      properties: { mode: { type: 'string', enum: ['a', 'b'] } },
      required: ['mode'],
    },
  },
  permission: null,
  result: 'true',
  handler: () => true,
});
const read = new ParameterValidators().reader(METHOD);

function problemsOf(sent: unknown): unknown {
  try {
    read(sent);
  } catch (error) {
    if (error instanceof ApiError) return error.data;
  }
  return 'none';
}

test('fills in defaults, and takes absent parameters for none', () => {
  expect(read({ id: 'x' })).toEqual({ id: 'x', count: 3 });
  expect(problemsOf(undefined)).toMatchObject({
    errors: [{ instancePath: '', message: "must have required property 'id'" }],
  });
});

test('takes parameters by position, in the order of the table', () => {
  expect(read(['x', 5])).toEqual({ id: 'x', count: 5 });
  expect(problemsOf([1, 2, 3, 4, 5, 6])).toMatchObject({ errors: [{ instancePath: '' }] });
});

test('reads name? as name where the method knows it, and drops it where not', () => {
  expect(read({ 'id?': 'x', 'other?': 1 })).toEqual({ id: 'x', count: 3 });
  expect(() => read({ id: 'x', 'id?': 'y' })).toThrow('conflicting keys: id and id?');
});

test("reads the namespace's name as id", () => {
  expect(read({ server: 'x' })).toEqual({ id: 'x', count: 3 });
});

test.each([
  [
    'a parameter that is not listed',
    { id: 'x', more: 1 },
    '',
    'must NOT have additional properties',
  ],
  ['a wrong type', { id: 1 }, '/id', 'must be string'],
  ['an empty string', { id: '' }, '/id', 'must NOT have fewer than 1 characters'],
  [
    'a missing nested one',
    { id: 'x', options: {} },
    '/options',
    "must have required property 'mode'",
  ],
  [
    'a value outside the enumeration',
    { id: 'x', options: { mode: 'c' } },
    '/options/mode',
    'must be equal to one of the allowed values',
  ],
  ['no object', 'text', '', 'must be object'],
])('names the path and the problem of %s', (_, sent, instancePath, message) => {
  expect(problemsOf(sent)).toMatchObject({ errors: [{ instancePath, message }] });
});

test('reports every problem, not just the first', () => {
  expect(problemsOf({ count: 'x', label: '' })).toMatchObject({
    errors: [
      { message: "must have required property 'id'" },
      { message: 'must be integer' },
      { message: 'must NOT have fewer than 1 characters' },
    ],
  });
});

test('of a thousand wrong parameters reports the first alone', () => {
  const wrong = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`wrong${i}`, i]));
  const { errors } = problemsOf(wrong) as { errors: object[] };
  expect(errors).toHaveLength(1);
});

test('lets a string be empty where the schema sets minLength', () => {
  expect(read({ id: 'x', note: '' })).toMatchObject({ note: '' });
});

test.each(['__proto__', 'constructor', 'prototype'])('refuses %s as a name', (name) => {
  expect(problemsOf(JSON.parse(`{"id":"x","${name}":{"a":1}}`))).toMatchObject({
    errors: [{ message: 'must NOT have that property name' }],
  });
});

test('keeps what was sent out of the problems', () => {
  const sent = { id: { marker: 'SECRET-MARKER' }, options: { mode: 'SECRET-MARKER' } };
  expect(JSON.stringify(problemsOf(sent))).not.toContain('SECRET-MARKER');
});
