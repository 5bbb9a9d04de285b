/** The small database of the crash tests, and what each step makes of it. */
import type { CollectionDefinitions, CredentialRecord } from '@vault/redis-store';
import type { Step } from './store-process.js';

export const COLLECTIONS = {
  server: {
    fields: {
      host: { type: 'string', optional: false },
      username: { type: 'string' },
      label: { type: 'string' },
      password: { type: 'secret' },
    },
    indexes: {
      host: { kind: 'unique', fields: ['host'] },
      username: { kind: 'exact', fields: ['username'] },
      byAccount: { kind: 'exact', fields: ['host', 'username'] },
    },
  },
  user: {
    fields: { email: { type: 'string' }, pwHash: { type: 'secret' } },
    indexes: { email: { kind: 'unique', fields: ['email'] } },
  },
} as const satisfies CollectionDefinitions;

export type CollectionName = keyof typeof COLLECTIONS;

/** Stands in every value of every record, in capitals too: nothing but plaintext holds it. */
export const MARKER = /plain-marker/i;

/** All records, as `<collection> <id>` → record. */
export type Contents = ReadonlyMap<string, CredentialRecord>;

const SERVERS = 9;
const USERS = 3;

export const INITIAL: Contents = new Map<string, CredentialRecord>([
  ...Array.from({ length: SERVERS }, (_, n) => {
    const record = {
      host: `host-${n}.plain-marker.example`,
      username: `plain-marker-root${n % 3}`,
      password: `plain-marker-password-${n}`,
    };
    return [`server server-${n}`, record] as const;
  }),
  ...Array.from({ length: USERS }, (_, n) => {
    const record = { email: `User${n}@Plain-Marker.example`, pwHash: `plain-marker-hash-${n}` };
    return [`user user-${n}`, record] as const;
  }),
]);

const NO_STEP: Omit<Step, 'do'> = { collection: 'server', id: '', ids: [], fields: {} };

export function step(what: Step['do'], parts: Partial<Step> = {}): Step {
  return { ...NO_STEP, ...parts, do: what };
}

function upserted(contents: Contents, entries: Iterable<readonly [string, CredentialRecord]>) {
  return new Map([...contents, ...entries]);
}

/** What a step may leave behind when it was done: one outcome, or several. */
export function outcomesOf(contents: Contents, each: Step): Contents[] {
  const { collection, id, ids, fields } = each;
  const name = `${collection} ${id}`;
  const outcomes: Readonly<Partial<Record<Step['do'], () => Contents[]>>> = {
    add: () => [upserted(contents, [[name, fields]])],
    set: () => [upserted(contents, [[name, { ...contents.get(name), ...fields }]])],
    remove: () => [new Map([...contents].filter(([other]) => other !== name))],
    claim: () => ids.map((winner) => upserted(contents, [[`${collection} ${winner}`, fields]])),
    import: () => {
      const records = ids.map((imported) => {
        const record = { ...fields, host: `${imported}.example` };
        return [`${collection} ${imported}`, record] as const;
      });
      return [upserted(contents, records)];
    },
  };
  return outcomes[each.do]?.() ?? [contents];
}

/** What a question must be answered with; `undefined` for a step that is none. */
function answerTo(contents: Contents, { do: what, collection, id, fields }: Step): unknown {
  if (what === 'read') return contents.get(`${collection} ${id}`) ?? null;
  if (what !== 'find') return undefined;
  return [...contents]
    .filter(([name]) => name.startsWith(`${collection} `))
    .filter(([, record]) => Object.entries(fields).every(([key, value]) => record[key] === value))
    .map(([name]) => name.slice(collection.length + 1))
    .toSorted();
}

/** Questions that were answered, and wrongly: of steps that change nothing. */
export function wrongAnswers(steps: readonly Step[], answers: readonly unknown[]): string[] {
  return steps.slice(0, answers.length).flatMap((each, n) => {
    const right = answerTo(INITIAL, each);
    if (right === undefined || JSON.stringify(right) === JSON.stringify(answers[n])) return [];
    return [`${each.do} ${each.id} was answered with ${JSON.stringify(answers[n])}`];
  });
}

/** The same text for the same contents, whatever the order of records and fields. */
export function canonicalContents(contents: Contents): string {
  const sorted = [...contents].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(
    sorted.map(([name, record]) => [
      name,
      Object.entries(record)
        .filter(([, value]) => value !== undefined)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ]),
  );
}
