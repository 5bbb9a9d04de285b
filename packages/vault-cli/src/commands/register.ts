import { randomBytes } from 'node:crypto';
import { ConfigFile } from '../config-file.js';
import { UsageError } from '../errors.js';
import { SecretInput } from '../secret-input.js';
import { parseServerAddress } from '../server-address.js';
import { defineCommand } from './command.js';
import {
  createToken,
  refuseSessionOptions,
  SIGN_IN_OPTIONS,
  SIGN_IN_POSITIONALS,
} from './sign-in.js';

export const register = defineCommand({
  usage: 'register <serverUrl> [userName] [password]',
  summary: 'Sign in to a server and remember it with a token',
  positionals: SIGN_IN_POSITIONALS,
  options: {
    ...SIGN_IN_OPTIONS,
    token: {
      alias: 't',
      type: 'string',
      requiresArg: true,
      description:
        'Remember this token and contact nobody. - takes it from standard input, one line',
    },
  },
  examples: [
    ['$0 register http://127.0.0.1:7400 admin', 'asks for the password'],
    ['$0 register --expiresIn "2 days" vault.example.org admin < password.txt', 'asks nothing'],
    ['$0 register --token - vault.example.org < token.txt', 'for a token made elsewhere'],
  ],
  run: async (args, context) => {
    refuseSessionOptions(args);
    const address = parseServerAddress(args.serverUrl);
    if (address.token !== undefined) {
      throw new UsageError('the URL to register has no token in it', 'give it as --token');
    }
    const configFile = new ConfigFile(context.environment.configHome);
    const config = await configFile.read();
    const clientId = config.clientId ?? randomBytes(8).toString('hex');
    const remember = (token: string) =>
      configFile.write({
        allowUnauthorized: args.allowUnauthorized,
        clientId,
        server: args.serverUrl,
        token,
      });

    if (args.token !== undefined) {
      if (args.userName !== undefined) {
        throw new UsageError('give a token, or a user and password, not both');
      }
      const secrets = new SecretInput(context.stdin, context.stderr, context.signal);
      await remember(args.token === '-' ? await secrets.askOrReadOnlyLine('token') : args.token);
      context.stderr.write(`Registered ${address.label}; the token was not tried\n`);
      return;
    }
    if (args.userName === undefined) throw new UsageError('register needs a user, or --token');
    const { version, machine } = context;
    await remember(
      await createToken(
        {
          ...args,
          userName: args.userName,
          clientId,
          description: `vault-cli@${version} - ${machine.hostName} - ${machine.system}`,
        },
        context,
      ),
    );
    context.stderr.write(`Registered ${address.label}\n`);
  },
});
