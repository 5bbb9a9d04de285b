/** What a collection is to its clients: one thing that does one operation after the other. */
import type { SequentialModel } from './linearisability.js';

export interface Fields {
  /** unique */
  readonly host: string;
  /** indexed exactly */
  readonly group: string;
  readonly label: string;
}

export type Input =
  | { readonly call: 'add'; readonly id: string; readonly fields: Fields }
  | { readonly call: 'set'; readonly id: string; readonly label: string }
  /** changes what was read just now, and nothing else */
  | { readonly call: 'swap'; readonly id: string; readonly label: string; readonly was: Fields }
  | { readonly call: 'remove'; readonly id: string }
  | { readonly call: 'get'; readonly id: string }
  | { readonly call: 'find'; readonly by: 'host' | 'group'; readonly value: string };

/** What a client was told: `done`, a code, or an answer in canonical form. */
export type Output = string;

export type Records = ReadonlyMap<string, Fields>;

/** As {@link Output} says what was read. */
export function shown(entries: readonly (readonly [string, Fields])[]): Output {
  return JSON.stringify(
    entries
      .map(([id, { host, group, label }]) => [id, host, group, label])
      .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
  );
}

/** All that may come of a call in a state: what is told, and the state after it. */
function outcomes(records: Records, input: Input): readonly (readonly [Output, Records])[] {
  const before = 'id' in input ? records.get(input.id) : undefined;
  switch (input.call) {
    case 'add': {
      const { id, fields } = input;
      const isTaken = [...records.values()].some(({ host }) => host === fields.host);
      if (before === undefined && !isTaken) return [['done', new Map([...records, [id, fields]])]];
      const refusals: [Output, Records][] = [];
      if (before !== undefined) refusals.push(['RECORD_EXISTS', records]);
      if (isTaken) refusals.push(['UNIQUE_CONFLICT', records]);
      return refusals;
    }
    case 'set':
      if (before === undefined) return [['RECORD_NOT_FOUND', records]];
      return [['done', new Map([...records, [input.id, { ...before, label: input.label }]])]];
    case 'swap': {
      // By content: a rewriting under another key is no reason to refuse.
      if (before === undefined || !isSame(before, input.was)) {
        return [['REVISION_CONFLICT', records]];
      }
      return [['done', new Map([...records, [input.id, { ...before, label: input.label }]])]];
    }
    case 'remove': {
      if (before === undefined) return [['false', records]];
      return [['true', new Map([...records].filter(([id]) => id !== input.id))]];
    }
    case 'get':
      return [[shown(before === undefined ? [] : [[input.id, before]]), records]];
    case 'find':
    default:
      return [
        [shown([...records].filter(([, fields]) => fields[input.by] === input.value)), records],
      ];
  }
}

function isSame(a: Fields, b: Fields): boolean {
  return a.host === b.host && a.group === b.group && a.label === b.label;
}

export function recordsModel(initial: Records): SequentialModel<Records, Input, Output> {
  return {
    initial,
    step: (records, input, output) =>
      outcomes(records, input).find(([told]) => output === undefined || told === output)?.[1],
    keyOf: (records) => shown([...records]),
  };
}
