import { resolve } from 'node:path';
import type { CliContext } from './cli-context.js';
import type { GlobalArguments } from './commands/command.js';
import { ConfigFile } from './config-file.js';
import { CallRefusedError, NotRegisteredError, UsageError } from './errors.js';
import { isSocket } from './local-socket.js';
import { SecretInput } from './secret-input.js';
import { parseServerAddress, type ServerAddress } from './server-address.js';
import { VaultClient, type Credentials, type Notification } from './vault-client.js';

/** Which server a command talks to, and as whom. */
export interface Target {
  readonly url: string;
  /** `undefined`: nobody; public methods work without a sign-in. */
  readonly token: string | undefined;
  readonly allowUnauthorized: boolean;
}

/** A connection that a command works with. */
export interface Session {
  readonly client: VaultClient;
  readonly target: Target;
  /** The one reader of standard input: the first line may be a password, the rest a value or a file. */
  readonly secrets: SecretInput;
}

/**
 * `--url` or `--socket` before `VAULT_URL` before the registered server before the local socket of a server
 * on this machine. The token: that of the URL, else
 * `VAULT_CLI_TOKEN`, else the registered one, which never goes to another server than its own.
 *
 * @throws NotRegisteredError when none of them names a server.
 */
export async function resolveTarget(args: GlobalArguments, context: CliContext): Promise<Target> {
  const { environment } = context;
  if (args.url !== undefined && args.socket !== undefined) {
    throw new UsageError('give --url or --socket, not both');
  }
  const named = args.url ?? socketUrl(args.socket) ?? environment.url;
  if (named !== undefined) {
    return {
      url: named,
      token: parseServerAddress(named).token ?? environment.token,
      allowUnauthorized: args.allowUnauthorized,
    };
  }
  const config = await new ConfigFile(environment.configHome).read();
  if (config.server === undefined) {
    if (!(await isSocket(environment.localSocket))) throw new NotRegisteredError();
    return {
      url: `unix:${environment.localSocket}`,
      token: environment.token,
      allowUnauthorized: false,
    };
  }
  return {
    url: config.server,
    token: environment.token ?? config.token,
    allowUnauthorized: args.allowUnauthorized || config.allowUnauthorized === true,
  };
}

export interface SessionOptions {
  /** Hears from before the sign-in on, so that nothing behind its answer is missed. */
  readonly onNotification?: (notification: Notification) => void;
  /** The work takes what follows the password on standard input. Default: nothing may follow. */
  readonly readsInput?: boolean;
}

/** Opens a connection, signs in, works, and closes it whatever happens. */
export async function withSession<T>(
  args: GlobalArguments,
  context: CliContext,
  work: (session: Session) => Promise<T>,
  { onNotification = () => {}, readsInput = false }: SessionOptions = {},
): Promise<T> {
  const target = await resolveTarget(args, context);
  const secrets = new SecretInput(context.stdin, context.stderr, context.signal);
  const credentials = await chooseCredentials(args, target, secrets);
  if (!readsInput) await secrets.expectEnd();
  if (credentials !== undefined) warnUnlessProtected(parseServerAddress(target.url), context);
  const client = await VaultClient.connect(target.url, {
    allowUnauthorized: target.allowUnauthorized,
    signal: context.signal,
  });
  client.onNotification(onNotification);
  try {
    if (credentials !== undefined) await client.signIn(credentials);
    return await work({ client, target, secrets });
  } catch (error) {
    throw credentials === undefined ? explainMissingSignIn(error) : error;
  } finally {
    await client.close();
  }
}

/** Tells who is about to send a credential that anybody on the way can read it. */
export function warnUnlessProtected(address: ServerAddress, { stderr }: CliContext): void {
  if (address.isProtected) return;
  stderr.write(
    `! ${address.label} is not protected by TLS: password and token can be read on the way\n`,
  );
}

const socketUrl = (path: string | undefined): string | undefined =>
  path === undefined ? undefined : `unix:${resolve(path)}`;

async function chooseCredentials(
  args: GlobalArguments,
  target: Target,
  secrets: SecretInput,
): Promise<Credentials | undefined> {
  if (args.user !== undefined) {
    return { email: args.user, password: await secrets.askOrReadFirstLine('password') };
  }
  return target.token === undefined ? undefined : { token: target.token };
}

/** Code 2 from a server that we did not sign in to is no lack of permission. */
function explainMissingSignIn(error: unknown): unknown {
  const isUnauthorized = error instanceof CallRefusedError && error.rpcCode === 2;
  if (!isUnauthorized) return error;
  return new CallRefusedError(3, 'this call needs a sign-in, and no token was given', error.data);
}
