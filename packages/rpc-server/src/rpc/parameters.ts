/**
 * From what was sent as `params` to what a handler gets: Xen Orchestra's leniencies (`name?`, the
 * namespace's name for `id`, defaults), parameters by position, then JSON schema.
 */
import { Ajv } from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import type { Json, JsonObject, ParameterInfo, ParameterProblem } from '../protocol.js';
import { ApiError, invalidParameters } from './api-error.js';
import type { Method, ParameterTable } from './method.js';

/** Checks and completes what a client sent. @throws {ApiError} INVALID_PARAMETERS, with every problem (of many parameters the first), and no value */
export type ParameterReader = (sent: unknown) => JsonObject;

/** The JSON schema of one parameter: without `optional`, and with Xen Orchestra's rule that a string is not empty. */
export function schemaOf(info: ParameterInfo): Record<string, unknown> {
  const { optional: _optional, ...schema } = info;
  const mayBeEmpty = ['minLength', 'format', 'pattern', 'enum'].some((word) => word in schema);
  return schema.type === 'string' && !mayBeEmpty ? { ...schema, minLength: 1 } : { ...schema };
}

export function isOptional(info: ParameterInfo): boolean {
  return info.optional ?? info.default !== undefined;
}

/** JSON schema of all parameters of a method, taken by name. */
export function parametersSchema(params: ParameterTable): Record<string, unknown> {
  const entries = Object.entries(params);
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, info]) => [name, schemaOf(info)])),
    required: entries.filter(([, info]) => !isOptional(info)).map(([name]) => name),
    additionalProperties: false,
  };
}

/** More than any method has: what is far from right is not looked at name by name. */
const NAMES_MAX = 256;

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

function byName(sent: unknown, method: Method): Readonly<Record<string, unknown>> {
  if (sent === undefined || sent === null) return {};
  if (Array.isArray(sent)) {
    const names = Object.keys(method.params);
    const values = sent as readonly unknown[];
    if (values.length > names.length) {
      throw invalidParameters([
        { instancePath: '', message: `must NOT have more than ${names.length} parameters` },
      ]);
    }
    return Object.fromEntries(values.map((value, at) => [names[at] ?? '', value] as const));
  }
  if (typeof sent !== 'object') {
    throw invalidParameters([{ instancePath: '', message: 'must be object' }]);
  }
  return sent as Record<string, unknown>;
}

type Defaults = readonly (readonly [name: string, value: Json])[];

function defaultsOf({ params }: Method): Defaults {
  return Object.entries(params).flatMap(([name, info]) =>
    info.default === undefined ? [] : [[name, info.default] as const],
  );
}

/** `a?` is `a` where the method knows it, else it is dropped; `server.x server=<id>` is `id=<id>`. */
function lenientName(name: string, method: Method): string | undefined {
  const { params } = method;
  if (name.endsWith('?')) {
    const bare = name.slice(0, -1);
    return Object.hasOwn(params, bare) ? bare : undefined;
  }
  const namespace = method.name.slice(0, method.name.indexOf('.'));
  const meansId = name === namespace && 'id' in params && !Object.hasOwn(params, name);
  return meansId ? 'id' : name;
}

function complete(
  sent: Readonly<Record<string, unknown>>,
  method: Method,
  defaults: Defaults,
): JsonObject {
  const values: Record<string, unknown> = {};
  const names = Object.keys(sent);
  if (names.length > NAMES_MAX) {
    const message = `must NOT have more than ${NAMES_MAX} parameters`;
    throw invalidParameters([{ instancePath: '', message }]);
  }
  for (const name of names) {
    if (FORBIDDEN.has(name)) {
      throw invalidParameters([{ instancePath: '', message: 'must NOT have that property name' }]);
    }
    const known = lenientName(name, method);
    if (known === undefined) continue;
    if (Object.hasOwn(values, known)) {
      throw new ApiError('INVALID_PARAMETERS', `conflicting keys: ${known} and ${known}?`, {});
    }
    values[known] = sent[name];
  }
  for (const [name, value] of defaults) {
    if (!Object.hasOwn(values, name)) values[name] = value;
  }
  return values as JsonObject;
}

/** Of ajv's item only what carries no value that was sent. */
function problemOf(error: ErrorObject): ParameterProblem {
  const { instancePath, schemaPath, keyword, params, message = 'is not valid' } = error;
  return { instancePath, schemaPath, keyword, params: params as Record<string, Json>, message };
}

/** Names, or items of an array, up to which every problem is looked for. */
const FEW = 64;

/** Whether there can be only so many problems that naming each is no work. */
function isSmall(values: JsonObject): boolean {
  const inner = Object.values(values);
  return (
    inner.length <= FEW && inner.every((value) => !Array.isArray(value) || value.length <= FEW)
  );
}

/** Compiles a schema once, when its method is called first: all of them would add 0.2 s to every start. */
export class ParameterValidators {
  readonly #first = new Ajv({ allErrors: false, strict: true, allowUnionTypes: true });
  /** Only for small ones: a message of ten thousand wrong parameters would have an answer of as many. */
  readonly #every = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });

  reader(method: Method): ParameterReader {
    const defaults = defaultsOf(method);
    let first: ValidateFunction | undefined;
    let every: ValidateFunction | undefined;
    return (sent) => {
      first ??= this.#first.compile(parametersSchema(method.params));
      const values = complete(byName(sent, method), method, defaults);
      if (first(values)) return values;
      if (!isSmall(values)) throw invalidParameters((first.errors ?? []).map(problemOf));
      every ??= this.#every.compile(parametersSchema(method.params));
      every(values);
      throw invalidParameters((every.errors ?? []).map(problemOf));
    };
  }
}
