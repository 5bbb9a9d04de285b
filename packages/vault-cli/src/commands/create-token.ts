import { UsageError } from '../errors.js';
import { defineCommand } from './command.js';
import {
  createToken,
  refuseSessionOptions,
  SIGN_IN_OPTIONS,
  SIGN_IN_POSITIONALS,
} from './sign-in.js';
import { SCOPE_OPTIONS, scopeOf } from './token-scope.js';

export const createTokenCommand = defineCommand({
  usage: 'create-token <serverUrl> [userName] [password]',
  summary: 'Sign in to a server and print a new token; nothing is remembered',
  positionals: SIGN_IN_POSITIONALS,
  options: { ...SIGN_IN_OPTIONS, ...SCOPE_OPTIONS },
  examples: [
    ['$0 create-token --expiresIn "1 week" vault.example.org backup', 'for a script'],
    [
      '$0 create-token --collections server --readOnly --mayReveal vault.example.org monitor',
      'only to read servers, with their passwords',
    ],
  ],
  run: async (args, context) => {
    refuseSessionOptions(args);
    if (args.userName === undefined) throw new UsageError('create-token needs a user');
    const token = await createToken(
      {
        ...args,
        userName: args.userName,
        description: 'vault-cli create-token',
        scope: scopeOf(args),
      },
      context,
    );
    context.stderr.write('Authentication token created\n\n');
    context.stdout.write(`${token}\n`);
  },
});
