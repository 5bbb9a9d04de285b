/** A small client of `vault-server`, for programs. The command line is `bin/vault-cli.js`. */
export {
  VaultClient,
  type ConnectOptions,
  type Credentials,
  type Notification,
  type SignedInUser,
} from './vault-client.js';
export { parseServerAddress, type ServerAddress } from './server-address.js';
export {
  CLI_ERRORS,
  CallRefusedError,
  CliError,
  ConnectionLostError,
  InterruptedError,
  ProtocolBrokenError,
  ServerUnreachableError,
  UsageError,
  type CliErrorCode,
} from './errors.js';
