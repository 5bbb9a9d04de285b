/** A vault-server of the benchmark's own, with its own Redis, and the time it took to be ready. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(
  new URL('../../packages/rpc-server/bin/vault-server.js', import.meta.url),
);
export const ADMINISTRATOR = {
  email: 'admin@bench.example',
  password: 'a password for this bench',
};

/** Halves are taken from two files, so that no XenStore is needed. */
export async function makeServerFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'vault-bench-server-'));
  const config = join(folder, 'config.toml');
  const child = spawn(
    process.execPath,
    [BIN, 'init', '--config', config, '--datadir', join(folder, 'data')],
    {
      stdio: 'ignore',
    },
  );
  await once(child, 'exit');
  return { folder, config, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** @returns `{ url, readySeconds, stop() }` */
export async function startServer(config, environment = {}) {
  const started = process.hrtime.bigint();
  const child = spawn(process.execPath, [BIN, 'start', '--config', config, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      ...process.env,
      VAULT_ADMIN_EMAIL: ADMINISTRATOR.email,
      VAULT_ADMIN_PASSWORD: ADMINISTRATOR.password,
      ...environment,
    },
  });
  let output = '';
  for await (const chunk of child.stdout) {
    output += chunk;
    if (/vault-server (ready|degraded) on /.test(output)) break;
  }
  const url = /vault-server ready on (\S+)/.exec(output)?.[1];
  if (url === undefined) throw new Error(`the server did not become ready: ${output}`);
  const readySeconds = Number(process.hrtime.bigint() - started) / 1e9;
  return {
    url,
    readySeconds,
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
