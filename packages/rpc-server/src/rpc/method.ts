/**
 * A method of the API as data: one row from which come validation, `system.getMethodsInfo`,
 * `rpc.discover` and the documents.
 */
import type { Json, JsonObject, ParameterInfo, Permission } from '../protocol.js';
import type { Effect } from '../session/token-scope.js';
import type { CallContext } from './call-context.js';

export type ParameterTable = Readonly<Record<string, ParameterInfo>>;

/** The TypeScript type of a value that fits a schema, as far as the schema says it literally. */
type ValueOf<S> = S extends { readonly enum: readonly (infer E)[] }
  ? E
  : S extends { readonly type: 'string' }
    ? string
    : S extends { readonly type: 'number' | 'integer' }
      ? number
      : S extends { readonly type: 'boolean' }
        ? boolean
        : S extends { readonly type: 'array'; readonly items: infer I }
          ? readonly ValueOf<I>[]
          : S extends { readonly type: 'object'; readonly properties: infer P }
            ? { readonly [K in keyof P]?: ValueOf<P[K]> }
            : S extends { readonly type: 'object' }
              ? JsonObject
              : Json;

/** Parameters as the handler gets them: validated, so the types are those of the table. */
export type ParametersOf<P extends ParameterTable> = {
  readonly [K in keyof P as P[K] extends { readonly optional: true } ? never : K]: ValueOf<P[K]>;
} & {
  readonly [K in keyof P as P[K] extends { readonly optional: true } ? K : never]?: ValueOf<P[K]>;
};

/** `undefined` becomes `true` on the wire. */
export type MethodResult = Json | object | undefined | void;

export interface Method {
  /** `<namespace>.<verb>` */
  readonly name: string;
  /** Other names for the same: those of Xen Orchestra. */
  readonly aliases: readonly string[];
  readonly description: string;
  readonly params: ParameterTable;
  /** `null`: no sign-in needed; `none`: any signed-in user. */
  readonly permission: Permission | null;
  /** Refused inside a batch: a batch must not try many passwords. */
  readonly notInBatch: boolean;
  /** Reads much: so many calls of one user run at once, and others wait, lest they fill the memory. */
  readonly atOncePerUser: number | undefined;
  /** For the scopes of tokens: see `session/token-scope.ts`. */
  readonly effect: Effect;
  readonly collection: string | undefined;
  /** What the result is, one line for the documents. */
  readonly result: string;
  handle(params: JsonObject, context: CallContext): Promise<MethodResult> | MethodResult;
}

/** Of a method that takes none. */
type NoParameters = Readonly<Record<string, never>>;

export interface MethodRow<P extends ParameterTable> {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly description: string;
  readonly params?: P;
  readonly permission: Permission | null;
  readonly notInBatch?: boolean;
  /** Default: no limit of its own. */
  readonly atOncePerUser?: number;
  /** Default `changes`. */
  readonly effect?: Effect;
  /** Default none: it is about no records, or the server's own. */
  readonly collection?: string;
  readonly result: string;
  handler(params: ParametersOf<P>, context: CallContext): Promise<MethodResult> | MethodResult;
}

/** Makes a method of a row; the handler's parameter types come from `params`. */
export function method<const P extends ParameterTable = NoParameters>(row: MethodRow<P>): Method {
  const { name, aliases = [], description, params, permission, notInBatch = false, result } = row;
  const { effect = 'changes', collection, atOncePerUser } = row;
  return {
    name,
    aliases,
    description,
    params: params ?? {},
    permission,
    notInBatch,
    atOncePerUser,
    effect,
    collection,
    result,
    // The validator made from the same table ran before.
    handle: (values, context) => row.handler(values as ParametersOf<P>, context),
  };
}
