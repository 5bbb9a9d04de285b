/** `vault-server reset-password`: the way back for an administrator who lost the password, and is the only one. */
import { DegradedError } from '@vault/redis-store';
import type { CredentialDatabase, DatabaseState } from '@vault/redis-store';
import type { ServerConfig } from '../config/load-config.js';
import { limitsOf } from '../config/limit-settings.js';
import { passwordsOf, usersOf } from '../http/serving.js';
import { INITIAL_PASSWORD_FILE, removeInitialPassword } from '../initial-password.js';
import { resetPassword } from '../session/reset-password.js';
import type { PasswordReset } from '../session/reset-password.js';
import { Tokens } from '../session/tokens.js';
import { withDatabase } from './beside-server.js';
import { CONFIG_OPTIONS, configArguments, JSON_OPTION, textOption } from './command.js';
import type { Command } from './command.js';
import { configFor } from './surroundings.js';
import { jsonText } from './database-report.js';

/** In any other, a migration was begun and a start of the server is to end it. */
const SERVED_STATES: ReadonlySet<DatabaseState> = new Set(['plaintext', 'encrypted', 'rekeying']);

export const RESET_PASSWORD: Command = {
  names: ['reset-password'],
  positionals: {
    form: '<user>',
    rows: { user: { type: 'string', describe: 'Name (or id) of the user' } },
  },
  summary: 'Give a user a random password, shown once, and end their tokens and sessions',
  options: {
    ...CONFIG_OPTIONS,
    ...JSON_OPTION,
    'without-otp': {
      type: 'boolean',
      default: false,
      describe: 'Switch one-time passwords off, too: the device is lost as well',
    },
  },
  examples: [
    ['$0 reset-password admin@example.org', 'Beside a running server, or without one'],
    ['$0 reset-password admin@example.org --without-otp', 'Password and device are lost'],
  ],
  async run(surroundings, args) {
    const config = configFor(surroundings, configArguments(args));
    const name = textOption(args, 'user') ?? '';
    const isWithoutOtp = args['without-otp'] === true;
    const reset = await withDatabase(surroundings, config, (database) =>
      resetIn(database, config, name, isWithoutOtp),
    );
    if (reset === undefined) {
      surroundings.writeError(`vault-server: there is no user "${name}"\n`);
      return 'failed';
    }
    surroundings.writeOut(
      args['json'] === true ? jsonReport(reset) : textReport(reset, isWithoutOtp),
    );
    return 'ok';
  },
};

interface Reset extends PasswordReset {
  /** The file with the first password was of this user. */
  readonly initialPasswordRemoved: boolean;
}

async function resetIn(
  database: CredentialDatabase,
  { settings }: ServerConfig,
  name: string,
  isWithoutOtp: boolean,
): Promise<Reset | undefined> {
  const { state } = database;
  if (!SERVED_STATES.has(state)) {
    throw new DegradedError('startFailed', {
      cause: `a migration is under way (${state})`,
      advice: 'start the server, which ends it, and try again once it serves',
    });
  }
  const limits = limitsOf(settings);
  const tokens = new Tokens(database.collection('token'), limits.tokensPerUser, Date.now);
  const reset = await resetPassword(usersOf(database, limits), tokens, name, isWithoutOtp);
  if (reset === undefined) return undefined;
  const { id, passwordHash } = reset.user;
  const passwords = passwordsOf(limits);
  const initialPasswordRemoved = await removeInitialPassword(settings.datadir, (password) =>
    passwords.isRight(password, passwordHash, { key: `user ${id}`, isKnown: true }),
  );
  return { ...reset, initialPasswordRemoved };
}

function jsonReport({
  user: { id, email },
  password,
  tokens,
  initialPasswordRemoved,
}: Reset): string {
  return jsonText({ id, email, password, tokens, initialPasswordRemoved });
}

function textReport(
  { user, password, tokens, initialPasswordRemoved }: Reset,
  isWithoutOtp: boolean,
): string {
  const hasOtp = user.otpSecret !== undefined && !isWithoutOtp;
  const otp = hasOtp ? 'A one-time password is asked for as before; see --without-otp.\n' : '';
  const initial = initialPasswordRemoved
    ? `The file ${INITIAL_PASSWORD_FILE} with the former one was removed.\n`
    : '';
  return (
    `The password of ${user.email} was reset:\n` +
    `  password  ${password}\n` +
    `It is shown this once. Tokens removed: ${tokens}. Sessions end within seconds.\n${initial}${otp}`
  );
}
