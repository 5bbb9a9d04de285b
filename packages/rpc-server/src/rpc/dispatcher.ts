/**
 * From one text frame to the text that answers it: JSON-RPC 2.0, with `json-rpc-2.0` doing the
 * single call, and this file the batches (a batch of one is answered by an array, which the library
 * does not do), the state of the server, permissions and limits.
 */
import {
  createJSONRPCErrorResponse,
  createJSONRPCSuccessResponse,
  isJSONRPCID,
  JSONRPCServer,
} from 'json-rpc-2.0';
import type { JSONRPCID, JSONRPCRequest, JSONRPCResponse } from 'json-rpc-2.0';
import { RECORD_LIMITS } from '@vault/redis-store';
import type { ApiMetrics } from '../http/metrics.js';
import type { Limits } from '../limits.js';
import { ERROR_CODES } from '../protocol.js';
import type { Notifications } from '../protocol.js';
import { credentialOf, hasPermission } from '../session/session.js';
import { assertInScope } from '../session/token-scope.js';
import type { Identity, Session } from '../session/session.js';
import { ApiError, forbiddenOperation, unauthorized } from './api-error.js';
import type { CallContext, Services } from './call-context.js';
import { apiErrorOf, answerOf } from './error-answer.js';
import type { ErrorAnswer } from './error-answer.js';
import { boundedError } from './bounded-error.js';
import { constantText } from './constant-result.js';
import { isInexact, MessageIds, withExactId } from './exact-id.js';
import { scanMessage } from './message-scan.js';
import type { Method, MethodResult } from './method.js';
import type { MethodTable, TableEntry } from './method-table.js';
import { OneAtATime } from './one-at-a-time.js';
import type { RecoveryFace } from './recovery-face.js';

/** The connection that a message came from. */
export interface Caller {
  readonly session: Session;
  readonly address: string;
  /** Over the local Unix socket, which only who may read the data folder can open. */
  readonly isLocal: boolean;
  /** At the port of recovery mode. */
  readonly isAtRecoveryDoor: boolean;
  notify<N extends keyof Notifications>(method: N, params: Notifications[N]): void;
}

export interface DispatcherOptions {
  readonly methods: MethodTable;
  /** @throws {ApiError} DEGRADED, STARTING, RECOVERY: what every call gets while nothing is served */
  readonly services: () => Services;
  /** Who answers all calls instead, in recovery mode. */
  readonly recovery: () => RecoveryFace | undefined;
  /** Compares the session's rights with the database when that was too long ago; `undefined` when it was not. */
  readonly ensureFresh: (session: Session) => Promise<void> | undefined;
  readonly limits: Limits;
  readonly metrics: ApiMetrics;
  /** Told of errors that no row of the border names. */
  readonly onUnexpected: (method: string, error: unknown) => void;
}

/** Batch, request, parameters and a filter are around what may be in a record. */
const MESSAGE_DEPTH = RECORD_LIMITS.depth + 4;
/** Longest `id` that is a text, in UTF-16 units: every answer repeats it. */
const ID_LENGTH_MAX = 256;
/** Of a name that no method has, what is repeated. */
const NAME_LENGTH_MAX = 100;

type Answer = JSONRPCResponse | null;
type Outcome = Promise<MethodResult> | MethodResult;

interface Call {
  readonly caller: Caller;
  readonly isBatch: boolean;
}

function errorResponse(id: JSONRPCID, error: ErrorAnswer): JSONRPCResponse {
  const { code, message, data } = boundedError(error);
  return createJSONRPCErrorResponse(id, code, message, data);
}

function invalidRequest(message: string, id: JSONRPCID = null): JSONRPCResponse {
  return createJSONRPCErrorResponse(id, ERROR_CODES.INVALID_REQUEST.code, message);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What the library would take for a request: a method that is no string, parameters that are neither array nor object. */
function isMalformed({ method, params }: { method?: unknown; params?: unknown }): boolean {
  return typeof method !== 'string' || (params !== undefined && typeof params !== 'object');
}

function isLongId({ id }: { id?: unknown }): boolean {
  return typeof id === 'string' && id.length > ID_LENGTH_MAX;
}

/** The id to answer a malformed request with: its own, where it has one. */
function idOf({ id }: { id?: unknown }): JSONRPCID {
  return isJSONRPCID(id) ? id : null;
}

/** The answer of a client to a request of ours: never answered, else two peers would answer each other for ever. */
function isAnswer(value: object): boolean {
  return !('method' in value) && ('result' in value || 'error' in value);
}

/** @returns `undefined` for a text of more bytes, or of more characters than a string can have */
function writtenWithin(write: () => string, maxBytes: number): string | undefined {
  let written: string;
  try {
    written = write();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  // UTF-8 has at most three bytes a UTF-16 unit, so most answers need no counting.
  const isWithin = written.length * 3 <= maxBytes || Buffer.byteLength(written) <= maxBytes;
  return isWithin ? written : undefined;
}

/** @throws {ApiError} UNAUTHORIZED */
function assertAllowed(method: Method, identity: Identity | undefined): void {
  const { permission } = method;
  if (permission === null) return;
  if (identity === undefined || !hasPermission(identity, permission)) {
    throw unauthorized(permission);
  }
  assertInScope(identity, method);
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #server: JSONRPCServer<Call>;
  /** By user and line. */
  readonly #oneAtATime = new OneAtATime();
  #turn = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#server = new JSONRPCServer<Call>({ errorListener: () => undefined });
    this.#server.mapErrorToJSONRPCErrorResponse = (id) =>
      createJSONRPCErrorResponse(id, ERROR_CODES.INTERNAL.code, 'unknown error from the peer');
    for (const name of options.methods.names) {
      const entry = options.methods.get(name);
      if (entry === undefined) continue;
      this.#server.addMethodAdvanced(name, (request, call) => this.#call(entry, request, call));
    }
    this.#server.handleMethodNotFound = (request) => this.#methodNotFound(request);
  }

  /**
   * @returns `undefined` when nothing is to be answered: notifications, and answers. Rejects never: a
   * defect in here would end the process, and with it what others do
   */
  async answer(bytes: Buffer, caller: Caller): Promise<string | undefined> {
    try {
      return await this.#answerBytes(bytes, caller);
    } catch (error) {
      this.#options.onUnexpected('a message', error);
      return JSON.stringify(errorResponse(null, answerOf(error, false)));
    }
  }

  async #answerBytes(bytes: Buffer, caller: Caller): Promise<string | undefined> {
    const refused = this.#refuseUnparsed(bytes, caller);
    if (refused !== undefined) return JSON.stringify(refused);
    const text = bytes.toString();
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return JSON.stringify(
        createJSONRPCErrorResponse(null, ERROR_CODES.INVALID_JSON.code, 'invalid JSON'),
      );
    }
    const ids = new MessageIds(text);
    if (!Array.isArray(message)) {
      const response = await this.#single(message, { caller, isBatch: false });
      return response === null
        ? undefined
        : this.#write(response, ids, 0, this.#options.limits.answerBytes);
    }
    const { batchCalls, answerBytes } = this.#options.limits;
    if (message.length === 0) return JSON.stringify(invalidRequest('empty batch'));
    if (message.length > batchCalls) {
      return JSON.stringify(invalidRequest(`a batch has at most ${batchCalls} calls`));
    }
    const responses = await Promise.all(
      message.map(async (item: unknown) => this.#single(item, { caller, isBatch: true })),
    );
    // One answer as much as a call's own: what does not fit any more is refused, call by call.
    let left = answerBytes;
    const written = responses.flatMap((response, at) => {
      if (response === null) return [];
      const one = this.#write(response, ids, at, left);
      left = Math.max(0, left - Buffer.byteLength(one));
      return one;
    });
    return written.length === 0 ? undefined : `[${written.join(',')}]`;
  }

  /** What would take too long to parse. @returns the answer, where it is refused */
  #refuseUnparsed(bytes: Buffer, { session }: Caller): JSONRPCResponse | undefined {
    const { messageValues, messageValuesBeforeSignIn } = this.#options.limits;
    const name = session.identity === undefined ? 'messageValuesBeforeSignIn' : 'messageValues';
    const values = name === 'messageValues' ? messageValues : messageValuesBeforeSignIn;
    const past = scanMessage(bytes, { values, depth: MESSAGE_DEPTH });
    if (past === undefined) return undefined;
    return invalidRequest(
      past === 'values'
        ? `a message has at most ${values} values: limits.${name}`
        : `a message has at most ${MESSAGE_DEPTH} objects and arrays inside each other`,
    );
  }

  /** @returns `null` when nothing is to be answered, as the library does */
  #single(message: unknown, call: Call): Answer | PromiseLike<Answer> {
    if (!isObject(message)) return invalidRequest('invalid JSON-RPC request');
    if (isAnswer(message)) return null;
    if (isLongId(message)) return invalidRequest(`an id has at most ${ID_LENGTH_MAX} characters`);
    if (isMalformed(message)) return invalidRequest('invalid JSON-RPC request', idOf(message));
    // The library checks the rest of the form, and answers -32600 when it is not a request.
    return this.#server.receive(message as JSONRPCRequest, call);
  }

  /** @param maxBytes that are left for it */
  #write(response: JSONRPCResponse, ids: MessageIds, at: number, maxBytes: number): string {
    const digits = isInexact(response.id) ? ids.at(at) : undefined;
    const { error, id } = response;
    const write = (each: JSONRPCResponse): string => {
      const constant = constantText(each.result);
      if (constant !== undefined) {
        return `{"jsonrpc":"2.0","id":${digits ?? JSON.stringify(id)},"result":${constant}}`;
      }
      return digits === undefined ? JSON.stringify(each) : withExactId(each, digits);
    };
    // Errors are short, and somebody waits for each.
    if (error !== undefined) return write(response);
    const written = writtenWithin(() => write(response), maxBytes);
    return written ?? write(errorResponse(id, answerOf(this.#tooLarge(), false)));
  }

  #tooLarge(): ApiError {
    const { answerBytes } = this.#options.limits;
    return new ApiError(
      'RESULT_TOO_LARGE',
      `the answer is over ${answerBytes} bytes: ask for less with limit and after`,
    );
  }

  async #methodNotFound({ id, method }: JSONRPCRequest): Promise<Answer> {
    if (id === undefined) return null;
    try {
      this.#options.services();
    } catch (error) {
      return errorResponse(id, answerOf(error, false));
    }
    this.#options.metrics.call('unknown', 'METHOD_NOT_FOUND', 0);
    const { code } = ERROR_CODES.METHOD_NOT_FOUND;
    const name = method.slice(0, NAME_LENGTH_MAX);
    return createJSONRPCErrorResponse(id, code, `method not found: ${name}`, name);
  }

  /** Runs one call, and makes the answer of its result or its error. */
  async #call(entry: TableEntry, { id, params }: JSONRPCRequest, call: Call): Promise<Answer> {
    const { metrics, onUnexpected } = this.#options;
    const { name } = entry.method;
    const startedMs = performance.now();
    try {
      const result = await this.#run(entry, params, call);
      metrics.call(name, 'ok', performance.now() - startedMs);
      if (id === undefined) return null;
      return createJSONRPCSuccessResponse(id, result === undefined ? true : result);
    } catch (error) {
      const known = apiErrorOf(error);
      metrics.call(name, known?.code ?? 'INTERNAL', performance.now() - startedMs);
      if (known === undefined) onUnexpected(name, error);
      const isAdministrator = call.caller.session.identity?.permission === 'admin';
      return id === undefined ? null : errorResponse(id, answerOf(error, isAdministrator));
    }
  }

  #run(entry: TableEntry, sent: unknown, { caller, isBatch }: Call): Outcome {
    const { method, readParameters } = entry;
    const recovery = this.#options.recovery();
    if (recovery !== undefined) {
      if (isBatch) throw forbiddenOperation(method.name, 'not inside a batch');
      return recovery.call(method.name, () => readParameters(sent), caller);
    }
    const services = this.#options.services();
    if (isBatch && method.notInBatch) {
      throw forbiddenOperation(method.name, 'not inside a batch');
    }
    const checked = this.#options.ensureFresh(caller.session);
    // Rights that are fresh, those of nearly all calls, are not waited for.
    if (checked === undefined) return this.#handle(entry, sent, services, caller);
    return checked.then(() => this.#handle(entry, sent, services, caller));
  }

  #handle(
    { method, readParameters }: TableEntry,
    sent: unknown,
    services: Services,
    caller: Caller,
  ): Outcome {
    // Whose call it is does not change while it runs, whoever signs in or out meanwhile.
    const { identity } = caller.session;
    assertAllowed(method, identity);
    const params = readParameters(sent);
    const { atOncePerUser } = method;
    const handle = (who: Identity | undefined): Outcome =>
      method.handle(params, this.#context(method.name, services, caller, who));
    if (atOncePerUser === undefined || identity === undefined) return handle(identity);
    // In so many lines for each user; they are joined in turns, and what was asked with one credential
    // does not keep back what is asked with another.
    this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
    const line = `${atOncePerUser} ${this.#turn % atOncePerUser} ${identity.userId}`;
    return this.#oneAtATime.run(line, credentialOf(identity), async () => {
      const current = await this.#afterWait(identity, method, services, caller.session);
      assertAllowed(method, current);
      return handle(current);
    });
  }

  /** Who calls, as of now: what was judged before a wait may not hold any more. @throws {ApiError} UNAUTHORIZED */
  async #afterWait(
    began: Identity,
    { permission }: Method,
    services: Services,
    session: Session,
  ): Promise<Identity> {
    await this.#options.ensureFresh(session);
    const { identity } = session;
    // A recheck of the session puts another one in its place; a sign-in as another token or user does not count.
    const isSame = identity?.userId === began.userId && identity.tokenId === began.tokenId;
    return isSame ? identity : services.assertStill(began, permission ?? 'none');
  }

  #context(
    operation: string,
    services: Services,
    caller: Caller,
    identity: Identity | undefined,
  ): CallContext {
    const { session, address } = caller;
    return {
      services,
      methods: this.#options.methods,
      session,
      address,
      identity: () => {
        if (identity === undefined) throw unauthorized('none');
        return identity;
      },
      progress: (phase, done, total) =>
        caller.notify('progress', { operation, phase, done, total }),
    };
  }
}
