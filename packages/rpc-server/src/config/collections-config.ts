/**
 * `[collections.<name>]`: the operator's own kinds of credentials, and additions to the built-in
 * ones. Short forms are spelt out: `key = "secret"`, `service = "exact"` (an index of the field of
 * that name), `byOwner = { fields = ["owner", "service"] }` (kind `exact`).
 */
import { checkDefinitions, FIELD_TYPES, TRANSFORMS } from '@vault/redis-store';
import type {
  CollectionDefinition,
  CollectionDefinitions,
  FieldDefinition,
  IndexDefinition,
  TransformName,
} from '@vault/redis-store';
import { BUILTIN_COLLECTIONS, SERVER_COLLECTIONS } from '../builtin-collections.js';
import { SettingProblem } from './errors.js';
import { didYouMean } from './nearest-name.js';

type Path = readonly string[];
type Table = Readonly<Record<string, unknown>>;

const COLLECTION_KEYS = ['fields', 'indexes', 'partitions', 'paddingBytes', 'dropFields'];
const FIELD_KEYS = ['type', 'optional', 'destination'];
const INDEX_KEYS = ['kind', 'fields', 'normalisation', 'transform'];
const KINDS = ['exact', 'unique'] as const;
const NORMALISATIONS = ['text', 'none'] as const;

function tableAt(path: Path, value: unknown, keys?: readonly string[]): Table {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SettingProblem('CONFIG_TYPE', path, `"${path.join('.')}" is a table`);
  }
  for (const key of Object.keys(value)) {
    if (keys !== undefined && !keys.includes(key)) {
      const message = `unknown key "${key}" in "${path.join('.')}"${didYouMean(key, keys)}`;
      throw new SettingProblem('CONFIG_UNKNOWN', [...path, key], message);
    }
  }
  return value as Table;
}

function choiceAt<Choice extends string>(
  path: Path,
  value: unknown,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find((name) => name === value);
  if (choice !== undefined) return choice;
  const near = typeof value === 'string' ? didYouMean(value, choices) : '';
  const message = `"${path.join('.')}" is one of ${choices.join(', ')}${near}`;
  throw new SettingProblem('CONFIG_TYPE', path, message);
}

function integerAt(path: Path, value: unknown): number {
  if (Number.isSafeInteger(value)) return Number(value);
  throw new SettingProblem('CONFIG_TYPE', path, `"${path.join('.')}" is an integer`);
}

function booleanAt(path: Path, table: Table, key: string): boolean | undefined {
  const value = table[key];
  if (value === undefined || typeof value === 'boolean') return value;
  const message = `"${[...path, key].join('.')}" is true or false`;
  throw new SettingProblem('CONFIG_TYPE', [...path, key], message);
}

function readField(path: Path, value: unknown): FieldDefinition {
  if (typeof value === 'string') return { type: choiceAt(path, value, FIELD_TYPES) };
  const table = tableAt(path, value, FIELD_KEYS);
  const optional = booleanAt(path, table, 'optional');
  const destination = booleanAt(path, table, 'destination');
  return {
    type: choiceAt([...path, 'type'], table['type'], FIELD_TYPES),
    ...(optional === undefined ? {} : { optional }),
    ...(destination === undefined ? {} : { destination }),
  };
}

function readIndex(path: Path, name: string, value: unknown): IndexDefinition {
  if (typeof value === 'string') return { kind: choiceAt(path, value, KINDS), fields: [name] };
  const table = tableAt(path, value, INDEX_KEYS);
  const fields = table['fields'] ?? [name];
  if (!Array.isArray(fields) || !fields.every((field) => typeof field === 'string')) {
    const message = `"${path.join('.')}.fields" is an array of field names`;
    throw new SettingProblem('CONFIG_TYPE', [...path, 'fields'], message);
  }
  const { kind = 'exact', normalisation, transform } = table;
  return {
    kind: choiceAt([...path, 'kind'], kind, KINDS),
    fields,
    ...(normalisation !== undefined && {
      normalisation: choiceAt([...path, 'normalisation'], normalisation, NORMALISATIONS),
    }),
    ...(transform !== undefined && {
      transform: choiceAt(
        [...path, 'transform'],
        transform,
        Object.keys(TRANSFORMS) as TransformName[],
      ),
    }),
  };
}

function readCollection(path: Path, value: unknown): CollectionDefinition {
  const table = tableAt(path, value, COLLECTION_KEYS);
  const fieldsPath = [...path, 'fields'];
  const indexesPath = [...path, 'indexes'];
  const fields = Object.entries(tableAt(fieldsPath, table['fields'] ?? {}));
  const indexes = Object.entries(tableAt(indexesPath, table['indexes'] ?? {}));
  const { partitions, paddingBytes } = table;
  const dropFields = booleanAt(path, table, 'dropFields');
  return {
    fields: Object.fromEntries(
      fields.map(([name, field]) => [name, readField([...fieldsPath, name], field)]),
    ),
    indexes: Object.fromEntries(
      indexes.map(([name, index]) => [name, readIndex([...indexesPath, name], name, index)]),
    ),
    ...(partitions !== undefined && {
      partitions: integerAt([...path, 'partitions'], partitions),
    }),
    ...(paddingBytes !== undefined && {
      paddingBytes: integerAt([...path, 'paddingBytes'], paddingBytes),
    }),
    ...(dropFields !== undefined && { dropFields }),
  };
}

/** Adds to a built-in collection; what it defines already stays as it is. */
function extend(path: Path, base: CollectionDefinition, more: CollectionDefinition) {
  for (const part of ['fields', 'indexes'] as const) {
    for (const name of Object.keys(more[part])) {
      if (Object.hasOwn(base[part], name)) {
        const message = `"${[...path, part, name].join('.')}" is built in and cannot be changed`;
        throw new SettingProblem('CONFIG_CONFLICT', [...path, part, name], message);
      }
    }
  }
  return {
    ...base,
    ...more,
    fields: { ...base.fields, ...more.fields },
    indexes: { ...base.indexes, ...more.indexes },
  };
}

/**
 * @param section what stands under `collections` in the document; `undefined` when nothing does
 * @returns the built-in collections and those of the section
 * @throws {SettingProblem}
 */
export function readCollections(section: unknown): CollectionDefinitions {
  const builtin: CollectionDefinitions = BUILTIN_COLLECTIONS;
  const definitions: Record<string, CollectionDefinition> = { ...builtin };
  if (section === undefined) return definitions;
  for (const [name, value] of Object.entries(tableAt(['collections'], section))) {
    const path = ['collections', name];
    if ((SERVER_COLLECTIONS as readonly string[]).includes(name)) {
      const message = `the collection "${name}" belongs to the server and cannot be configured`;
      throw new SettingProblem('CONFIG_CONFLICT', path, message);
    }
    const read = readCollection(path, value);
    const base = Object.hasOwn(builtin, name) ? builtin[name] : undefined;
    const definition = base === undefined ? read : extend(path, base, read);
    try {
      checkDefinitions({ [name]: definition });
    } catch (error) {
      throw new SettingProblem('CONFIG_TYPE', path, (error as Error).message);
    }
    definitions[name] = definition;
  }
  return definitions;
}
