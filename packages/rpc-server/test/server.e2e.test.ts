/** The server as a library: started, stopped and started again in this process. */
import { writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Resources } from '../../../test/harness/resources.js';
import { TemporaryFolder } from '../../../test/harness/temporary-folder.js';
import { loadConfig } from '../src/config/load-config.js';
import { createLog } from '../src/log.js';
import { VaultServer } from '../src/server.js';

// Starts of real servers, on a machine that may be busy.
jest.setTimeout(60_000);

const resources = new Resources();
afterEach(() => resources.stop());

interface Started {
  readonly server: VaultServer;
  readonly printed: string[];
  readonly logged: string[];
}

async function start(folder: TemporaryFolder): Promise<Started> {
  const configFile = folder.join('config.toml');
  writeFileSync(
    configFile,
    `datadir = "${folder.join('data')}"
     http.listen = "127.0.0.1:0"
     redis.encryptCredentialDatabase = true
     keystore.halfA = { source = "file", path = "${folder.join('half-a')}" }`,
  );
  const config = loadConfig({ environment: {}, configFile, workingFolder: folder.path });
  const [printed, logged]: [string[], string[]] = [[], []];
  const server = await VaultServer.start({
    config,
    sources: {
      variables: {},
      dataDir: config.settings.datadir,
      userId: process.geteuid?.(),
      groupId: process.getegid?.(),
    },
    searchPath: process.env['PATH'] ?? '',
    log: createLog({ write: (line) => logged.push(line) }),
    version: '0.0.0',
    administrator: { email: 'admin@example.org', password: 'correct horse battery' },
    print: (line) => printed.push(line),
  });
  resources.use(server);
  return { server, printed, logged };
}

describe('a server', () => {
  it('answers health checks before its database is open', async () => {
    const { server } = await start(resources.use(new TemporaryFolder('vault-server')));
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    await server.opened;
    expect(await (await fetch(`${server.url}/readyz`)).json()).toEqual({ mode: 'serving' });
  });

  it('that is stopped while it starts says neither ready nor degraded, and starts again', async () => {
    const folder = resources.use(new TemporaryFolder('vault-server'));
    const first = await start(folder);
    await first.server.stop();
    expect(first.printed).toEqual([]);
    expect(first.logged.filter((line) => line.includes(' ERROR '))).toEqual([]);

    const second = await start(folder);
    await second.server.opened;
    expect(second.printed.at(-1)).toBe(`vault-server ready on ${second.server.url}`);
  });
});
