import type { Options, PositionalOptions } from 'yargs';
import type { CliContext } from '../cli-context.js';
import type { TokenScope } from '@vault/rpc-server/protocol';
import { ProtocolBrokenError, UsageError } from '../errors.js';
import { SecretInput } from '../secret-input.js';
import { parseServerAddress } from '../server-address.js';
import { warnUnlessProtected } from '../session.js';
import { VaultClient } from '../vault-client.js';
import type { GlobalArguments } from './command.js';

/** What `register` and `create-token` ask for alike. */
export const SIGN_IN_POSITIONALS = {
  serverUrl: {
    type: 'string',
    demandOption: true,
    description:
      'URL of the server, or unix:/path of its local socket. Without a scheme TLS is used',
  },
  userName: { type: 'string', description: 'Name of the user' },
  password: {
    type: 'string',
    description:
      'Better left out: it is then asked for or, without a terminal, the one line of standard input',
  },
} as const satisfies Record<string, PositionalOptions>;

export const SIGN_IN_OPTIONS = {
  expiresIn: {
    type: 'string',
    requiresArg: true,
    description:
      'How long the token lives: 1h, 30 days, 1 week, … (the server has a default and a limit)',
  },
  otp: { type: 'string', requiresArg: true, description: 'One-time password, if the user has one' },
} as const satisfies Record<string, Options>;

export interface TokenRequest {
  readonly serverUrl: string;
  readonly userName: string;
  /** As typed; `undefined`, `''` and `-`: see {@link SIGN_IN_POSITIONALS}. */
  readonly password: string | undefined;
  readonly otp: string | undefined;
  readonly expiresIn: string | undefined;
  readonly allowUnauthorized: boolean;
  readonly description: string;
  /** Only a mark of the token: those that this client had before stay valid. */
  readonly clientId?: string;
  /** Default: all that the user may, but create tokens. */
  readonly scope?: TokenScope | undefined;
}

/** These commands name server and user as arguments: the options of the other commands would be ignored. */
export function refuseSessionOptions(args: GlobalArguments): void {
  if ([args.url, args.socket, args.user].every((option) => option === undefined)) return;
  throw new UsageError(
    'here the server and the user are arguments: leave out --url, --socket and --user',
    'a local socket is unix:/path',
  );
}

/** Signs in with a password, and gets a bearer token. */
export async function createToken(request: TokenRequest, context: CliContext): Promise<string> {
  const address = parseServerAddress(request.serverUrl);
  warnUnlessProtected(address, context);
  const password = await obtainPassword(request.password, context);
  const client = await VaultClient.connect(request.serverUrl, {
    allowUnauthorized: request.allowUnauthorized,
    signal: context.signal,
  });
  try {
    const user = await client.signIn({
      email: request.userName,
      password,
      ...(request.otp === undefined ? {} : { otp: request.otp }),
    });
    context.stderr.write(`Signed in as ${user.email}\n`);
    const token = await client.call('token.create', {
      description: request.description,
      ...(request.clientId === undefined ? {} : { client: { id: request.clientId } }),
      ...(request.expiresIn === undefined ? {} : { expiresIn: request.expiresIn }),
      ...(request.scope === undefined ? {} : { scope: { ...request.scope } }),
    });
    if (typeof token !== 'string') {
      throw new ProtocolBrokenError('the answer to token.create is not a token');
    }
    return token;
  } finally {
    await client.close();
  }
}

/** yargs makes `''` of a lone `-`; an empty password, which is never right, goes the same way. */
async function obtainPassword(typed: string | undefined, context: CliContext): Promise<string> {
  if (typed !== undefined && typed !== '') return typed;
  const secrets = new SecretInput(context.stdin, context.stderr, context.signal);
  return await secrets.askOrReadOnlyLine('password');
}
