import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';

// The clients that users have, from the npm registry. Neither ships types; both are CommonJS.
const require = createRequire(import.meta.url);

/** What both clients have. `call` rejects with the error of the answer: `code`, `message`, `data`. */
export interface RpcClient extends EventEmitter {
  open(): Promise<void>;
  close(): Promise<void>;
  call(method: string, params?: object): Promise<unknown>;
}

/** xo-lib: opens again what was closed, signs in again by itself. */
export interface XoClient extends RpcClient {
  readonly user: { readonly email: string } | null;
  signIn(credentials: object): Promise<void>;
}

export const { default: Xo } = require('xo-lib') as {
  readonly default: new (options: { readonly url: string }) => XoClient;
};

export const { JsonRpcWebSocketClient } = require('jsonrpc-websocket-client') as {
  readonly JsonRpcWebSocketClient: new (url: string) => RpcClient;
};
