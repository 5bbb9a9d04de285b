import type { CliContext } from './cli-context.js';
import { COMMANDS } from './command-table.js';
import { call } from './commands/call.js';
import { GLOBAL_OPTIONS, type GlobalArguments } from './commands/command.js';
import { listMethods } from './method-listing.js';
import { resolveTarget } from './session.js';
import { VaultClient } from './vault-client.js';

/** Whoever presses Tab does not wait longer than this for the server. */
const SERVER_TIMEOUT_MS = 1000;

/**
 * What the script of `vault-cli completion` asks for: a line for each word that fits where Tab was pressed.
 * (The completion of yargs itself reads the words from `process.argv`.)
 *
 * @param typed words after the program's name; the last is the one being typed.
 */
export async function complete(typed: readonly string[], context: CliContext): Promise<string> {
  const current = typed.at(-1) ?? '';
  const words = current.startsWith('-')
    ? completeOption(typed, current)
    : [...completeCommand(typed, current), ...(await completeFromServer(typed, context))];
  return words.map((word) => `${word}\n`).join('');
}

function completeCommand(typed: readonly string[], current: string): string[] {
  if (typed.length > 1) return [];
  return COMMANDS.map(({ name }) => name).filter((name) => name.startsWith(current));
}

function completeOption(typed: readonly string[], current: string): string[] {
  // A method takes the options of call.
  const command = COMMANDS.find(({ name }) => name === typed[0]) ?? call;
  return [...Object.keys(GLOBAL_OPTIONS), ...command.optionNames, 'help']
    .map((name) => `--${name}`)
    .filter((option) => option.startsWith(current));
}

/**
 * Words from the server: names of methods, or `name=` of the parameters
 * once a method is typed. None when no server is known or it does not answer in time: a completion that
 * fails must not write over the command line.
 */
async function completeFromServer(
  typed: readonly string[],
  context: CliContext,
): Promise<string[]> {
  const words = typed[0] === call.name ? typed.slice(1) : typed;
  const current = words.at(-1) ?? '';
  const method = words.length > 1 ? words[0] : undefined;
  if (COMMANDS.some(({ name }) => name === words[0])) return [];
  try {
    const methods = await askMethods(context);
    if (method === undefined)
      return Object.keys(methods).filter((name) => name.startsWith(current));
    return Object.keys(methods[method]?.params ?? {})
      .map((name) => `${name}=`)
      .filter((word) => word.startsWith(current));
  } catch {
    return [];
  }
}

/** Without signing in: the list of methods is public. */
async function askMethods(context: CliContext): ReturnType<typeof listMethods> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(SERVER_TIMEOUT_MS)]);
  const args: GlobalArguments = {
    url: undefined,
    socket: undefined,
    user: undefined,
    allowUnauthorized: false,
  };
  const target = await resolveTarget(args, context);
  const client = await VaultClient.connect(target.url, {
    allowUnauthorized: target.allowUnauthorized,
    connectTimeoutMs: SERVER_TIMEOUT_MS,
    signal,
  });
  try {
    return await listMethods(client, []);
  } finally {
    await client.close();
  }
}
