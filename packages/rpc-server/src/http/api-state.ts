/** What the server can do at the moment: told to the API by whoever opens the database. */
import type { ConfigBackup } from '../backup/port.js';
import type { Readiness } from '../protocol.js';
import { ApiError } from '../rpc/api-error.js';
import type { Database, DatabaseProgress } from '../rpc/database-port.js';
import type { RecoveryFace } from '../rpc/recovery-face.js';

export type ApiState =
  | { readonly mode: 'starting'; readonly progress?: DatabaseProgress }
  | { readonly mode: 'serving'; readonly database: Database; readonly backup: ConfigBackup }
  /** `reason`: class of the reason (`DegradedReason`), no details. `retrying`: the server tries again by itself. */
  | { readonly mode: 'degraded'; readonly reason: string; readonly retrying?: boolean }
  /** As degraded, but that an operator may sign in and import a backup. */
  | { readonly mode: 'recovery'; readonly reason: string; readonly recovery: RecoveryFace };

/** Degraded, but not for long if Redis comes back. */
export function isRetrying(state: ApiState): state is Extract<ApiState, { mode: 'degraded' }> {
  return state.mode === 'degraded' && state.retrying === true;
}

/** Body of `/readyz`. */
export function readinessOf(state: ApiState): Readiness {
  const { mode } = state;
  if (isRetrying(state)) return { mode, reason: state.reason, retrying: true };
  if (mode === 'degraded' || mode === 'recovery') return { mode, reason: state.reason };
  if (mode === 'serving' || state.progress === undefined) return { mode };
  return { mode, progress: { ...state.progress } };
}

/** What every call gets while nothing is served, sign-in too. */
export function notServingError(state: Exclude<ApiState, { mode: 'serving' }>): ApiError {
  if (state.mode === 'starting') {
    const data = state.progress === undefined ? {} : { ...state.progress };
    return new ApiError(
      'STARTING',
      'the database is being opened or migrated: try again, /readyz says when it serves',
      data,
    );
  }
  return state.mode === 'recovery' ? recoveryError() : degradedError(state.reason);
}

/** To a sign-in to a database that is not served any more. */
export function notServedAnyMoreError(): ApiError {
  return new ApiError(
    'STARTING',
    'the database that was signed in to is not served any more: try again, /readyz says when the server serves',
  );
}

/** @param reason class of the reason */
export function degradedError(reason: string): ApiError {
  return new ApiError(
    'DEGRADED',
    'the server runs in degraded mode and serves nothing: see its log, or run `vault-server status` on its machine',
    { reason },
  );
}

/**
 * To whoever is not at the door of recovery mode.
 * @param url of that door, on the server's own machine; `undefined` where only the local socket leads in
 */
export function recoveryElsewhereError(url: string | undefined): ApiError {
  const where = 'the server runs in recovery mode, which answers on its own machine alone, at';
  if (url === undefined) {
    return new ApiError('RECOVERY', `${where} the local socket that its log names`);
  }
  const { host, port } = new URL(url);
  const tunnel = `ssh -L ${port}:${host} <user>@<server>`;
  return new ApiError('RECOVERY', `${where} ${url}; from elsewhere go through a tunnel: ${tunnel}`);
}

/** To what began in recovery mode and would end after it. */
export function recoveryOverError(): ApiError {
  return new ApiError(
    'RECOVERY',
    'recovery mode is over: sign in as usual, where the server serves',
  );
}

export function recoveryError(): ApiError {
  return new ApiError(
    'RECOVERY',
    'the server runs in recovery mode: only session.signIn as "recovery", token.create, system.getStatus and system.importConfig work',
  );
}
