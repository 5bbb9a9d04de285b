import { expect, test } from '@jest/globals';
import { linearise } from './linearisability.js';
import type { HistoryOperation, SequentialModel } from './linearisability.js';

/** A register that holds one number. */
type Call = { readonly write: number } | 'read';
type Told = number | 'done';
const REGISTER: SequentialModel<number, Call, Told> = {
  initial: 0,
  step: (state, input, output) => {
    if (input === 'read') return output === undefined || output === state ? state : undefined;
    return input.write;
  },
  keyOf: String,
};

function operation(
  input: Call,
  calledAt: number,
  answeredAt: number,
  output?: Told,
): HistoryOperation<Call, Told> {
  return { input, output, calledAt, answeredAt };
}

test('calls one after the other are explained by their order', () => {
  const history = [operation({ write: 1 }, 1, 2, 'done'), operation('read', 3, 4, 1)];
  expect(linearise(REGISTER, history)).toEqual([0, 1]);
});

test('a read that came after a write and shows what was before is not explained', () => {
  const history = [operation({ write: 1 }, 1, 2, 'done'), operation('read', 3, 4, 0)];
  expect(linearise(REGISTER, history)).toBeUndefined();
});

test('a read beside a write may show either', () => {
  for (const seen of [0, 1]) {
    const history = [operation({ write: 1 }, 1, 4, 'done'), operation('read', 2, 3, seen)];
    expect(linearise(REGISTER, history)).toBeDefined();
  }
});

test('two reads one after the other beside a write may not go back', () => {
  const history = [
    operation({ write: 1 }, 1, 6, 'done'),
    operation('read', 2, 3, 1),
    operation('read', 4, 5, 0),
  ];
  expect(linearise(REGISTER, history)).toBeUndefined();
});

test('a write that was never answered may come late, or never', () => {
  const lost = operation({ write: 1 }, 1, Infinity);
  expect(linearise(REGISTER, [lost, operation('read', 2, 3, 0)])).toBeDefined();
  expect(
    linearise(REGISTER, [lost, operation('read', 2, 3, 0), operation('read', 4, 5, 1)]),
  ).toBeDefined();
});

test('a write that was never answered does not come twice', () => {
  const history = [
    operation({ write: 1 }, 1, Infinity),
    operation('read', 2, 3, 1),
    operation({ write: 2 }, 4, 5, 'done'),
    operation('read', 6, 7, 1),
  ];
  expect(linearise(REGISTER, history)).toBeUndefined();
});
