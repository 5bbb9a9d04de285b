import { readFileSync } from 'node:fs';
import { homedir, hostname, machine, type } from 'node:os';
import { join } from 'node:path';
import { runCli } from './cli.js';
import { systemErrorCode } from './errors.js';
import { localSocketOf } from './local-socket.js';

const { env, stdin, stdout, stderr } = process;

const interruption = new AbortController();
process.once('SIGINT', () => interruption.abort());
process.once('SIGTERM', () => interruption.abort());

// `vault-cli … | head`: whoever reads has seen enough.
stdout.on('error', (error) => process.exit(systemErrorCode(error) === 'EPIPE' ? 0 : 1));

const status = await runCli(process.argv.slice(2), {
  stdin,
  stdout,
  stderr,
  signal: interruption.signal,
  environment: {
    configHome: nonEmpty(env['XDG_CONFIG_HOME']) ?? join(homedir(), '.config'),
    url: nonEmpty(env['VAULT_URL']),
    localSocket: localSocketOf(env),
    token: nonEmpty(env['VAULT_CLI_TOKEN']),
    isDebug: /(^|[\s,])(\*|vault-cli)($|[\s,:])/.test(env['DEBUG'] ?? ''),
  },
  machine: { hostName: hostname(), system: `${type()} ${machine()}` },
  version: readVersion(),
});

// Output to a pipe is written later: leaving before would cut it. Standard input may still be open.
stdout.write('', () => process.exit(status));

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
