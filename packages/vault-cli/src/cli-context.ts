import type { InputStream, OutputStream } from './secret-input.js';

/** All that the program takes from the process: `main.ts` fills it in, tests bring their own. */
export interface CliContext {
  readonly stdin: InputStream;
  /** Data only. */
  readonly stdout: OutputStream;
  /** Talk: prompts, progress, errors. */
  readonly stderr: OutputStream;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly environment: CliEnvironment;
  /** Goes into the description of a token, so that its owner recognises it in a list. */
  readonly machine: { readonly hostName: string; readonly system: string };
  /** Version of this package. */
  readonly version: string;
}

export interface CliEnvironment {
  /** `$XDG_CONFIG_HOME`, or `~/.config`. */
  readonly configHome: string;
  /** `$VAULT_URL`: server to use instead of the registered one. */
  readonly url: string | undefined;
  /** Where a server of this machine listens, unless it was told otherwise: asked where no server is named. */
  readonly localSocket: string;
  /** `$VAULT_CLI_TOKEN`: token to use instead of the registered one. */
  readonly token: string | undefined;
  /** `$DEBUG` names `vault-cli` or `*`: errors come with their stacks. */
  readonly isDebug: boolean;
}
