/** Public names, for whoever embeds the server's faces in a program of their own. */
export { BUILTIN_COLLECTIONS, SERVER_COLLECTIONS } from './builtin-collections.js';
export { CONFIG_ERRORS, ConfigError } from './config/errors.js';
export type { ConfigErrorCode } from './config/errors.js';
export { loadConfig } from './config/load-config.js';
export type { LoadOptions, ServerConfig } from './config/load-config.js';
export { createApi } from './http/api-server.js';
export type { Api, ApiOptions } from './http/api-server.js';
export type { ApiState } from './http/api-state.js';
export { LIMITS, resolveLimits } from './limits.js';
export type { LimitName, LimitRow, Limits, LimitUnit } from './limits.js';
export { createLog } from './log.js';
export type { Logger, LogLevel, LogOptions } from './log.js';
export { API_PATH, ERROR_CODES, PERMISSIONS, SECRET_MASK } from './protocol.js';
export type {
  DownloadOffer,
  ErrorCodeRow,
  ErrorName,
  Json,
  JsonObject,
  MethodInfo,
  MethodsInfo,
  Notifications,
  ParameterInfo,
  ParameterProblem,
  Permission,
  ProgressParams,
  PublicUser,
  Readiness,
  TokenInfo,
  UploadOffer,
} from './protocol.js';
export { ApiError } from './rpc/api-error.js';
export type {
  Database,
  RecordCollection,
  RecordFields,
  StoredRecord,
} from './rpc/database-port.js';
export { ensureFirstAdministrator } from './session/first-administrator.js';
export type {
  FirstAdministrator,
  FirstAdministratorOptions,
} from './session/first-administrator.js';
export { VaultServer } from './server.js';
export type { ServerOptions } from './server.js';
