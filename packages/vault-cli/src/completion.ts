import type { Argv } from 'yargs';
import type { CliContext } from './cli-context.js';
import type { GlobalArguments } from './commands/command.js';
import { listMethods } from './method-listing.js';
import { resolveTarget } from './session.js';
import { VaultClient } from './vault-client.js';

/** Whoever presses Tab does not wait longer than this for the server. */
const SERVER_TIMEOUT_MS = 1000;

/**
 * What the script of `vault-cli completion` asks for: a line for each word that fits.
 *
 * @param parser knows the commands and options.
 * @param words all on the command line, the program's name first; the last is the one being typed.
 */
export async function complete(
  parser: Argv,
  words: readonly string[],
  context: CliContext,
): Promise<string> {
  const own = await parser.getCompletion(words);
  const fromServer = await completeFromServer(words.slice(1), context);
  return [...own, ...fromServer].map((word) => `${word}\n`).join('');
}

/**
 * Words that fit where Tab was pressed, from the server: names of methods, or `name=` of the parameters
 * once a method is typed. None when no server is known or it does not answer in time: a completion that
 * fails must not write over the command line.
 *
 * @param typed words after the program's name; the last is the one being typed.
 */
async function completeFromServer(
  typed: readonly string[],
  context: CliContext,
): Promise<string[]> {
  const words = typed[0] === 'call' ? typed.slice(1) : typed;
  const current = words.at(-1) ?? '';
  const method = words.length > 1 ? words[0] : undefined;
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
  const args: GlobalArguments = { url: undefined, user: undefined, allowUnauthorized: false };
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
