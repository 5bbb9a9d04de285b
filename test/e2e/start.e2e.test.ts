import { afterEach, describe, expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '../harness/free-port.js';
import { Program } from '../harness/program.js';
import { Resources } from '../harness/resources.js';
import { TemporaryFolder } from '../harness/temporary-folder.js';
import { VaultCli } from '../harness/vault-cli.js';

const START = join(import.meta.dirname, '../../scripts/start');
const resources = new Resources();
afterEach(() => resources.stop());

/** Programs that run with the folder as their working folder or in their arguments, by name. */
function programsIn(folder: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words.some((word) => word.includes(folder)) ? [words[0] as string] : [];
    } catch {
      return []; // no process, or one that has ended
    }
  });
}

describe('scripts/start', () => {
  test('runs an encrypted server at once, keeps its data, and ends with all it started', async () => {
    const folder = resources.use(new TemporaryFolder('vault-start'));
    const port = await findFreePort();
    const config = folder.join('config.toml');
    const options = ['--port', String(port), '--datadir', folder.join('data'), '--config', config];
    const start = async (): Promise<Program> => {
      const program = Program.start(START, options);
      resources.use(program);
      await program.waitForOutput(/^vault-server ready on \S+$/m, { limitMs: 50_000 });
      return program;
    };

    const first = await start();
    expect(first.stdout).toContain(`vault-server ready on http://127.0.0.1:${port}`);
    const [, email] = /^ *name +(\S+)$/m.exec(first.stdout) ?? [];
    const password = readFileSync(folder.join('data/initial-password'), 'utf8').trimEnd();
    expect(email).toEqual(expect.any(String));
    // Standard output may be a journal.
    expect(first.stdout).not.toContain(password);
    const commands = first.stdout.split('\n').filter((line) => line.includes('npx vault-cli'));
    expect(commands).toHaveLength(3);
    expect(statSync(config).mode & 0o077).toBe(0);
    expect(readFileSync(config, 'utf8')).toMatch(/^encryptCredentialDatabase = true$/m);

    // The commands that it prints, as it prints them.
    const cli = resources.use(new VaultCli());
    const wordsOf = (line: string): string[] => line.trim().split(/ +/).slice(2);
    const [register, add, list] = commands.map(wordsOf) as [string[], string[], string[]];
    await cli.succeed(register, `${password}\n`);
    await cli.succeed(add, 'correct horse battery\n');
    expect(await cli.succeed(list)).toContain('192.0.2.10');

    first.signal('SIGINT');
    expect(await first.exited).toEqual({ status: 0, signal: null });
    expect(programsIn(folder.path)).toEqual([]);

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) {
      const again = await start();
      expect(again.stdout).not.toContain(password);
      expect(await cli.succeed(list)).toContain('192.0.2.10');
      again.signal(signal);
      expect(await again.exited).toEqual({ status: 0, signal: null });
    }
    expect(existsSync(folder.join('data'))).toBe(true);
  });

  test('stops the server and its Redis in order when its terminal is closed', async () => {
    const folder = resources.use(new TemporaryFolder('vault-start'));
    const port = await findFreePort();
    const options = `--port ${port} --datadir ${folder.join('data')} --config ${folder.join('config.toml')}`;
    // A pseudo-terminal with a shell, as a terminal window has one.
    const terminal = resources.use(
      Program.start('script', ['--quiet', '--command', `${START} ${options}`, '/dev/null']),
    );
    await terminal.waitForOutput(/^vault-server ready on \S+$/m, { limitMs: 50_000 });
    const password = readFileSync(folder.join('data/initial-password'), 'utf8').trimEnd();
    expect(terminal.stdout).toContain(`  password  ${password}`);
    // Some shells stay beside the program that they were told to run: which one script(1) takes is the machine's matter.
    const running = programsIn(folder.path);
    for (const name of ['script', '/bin/bash', 'node']) expect(running).toContain(name);
    await terminal.kill();
    // oxlint-disable-next-line no-await-in-loop -- the kernel tells nobody of the end of a stranger's child
    while (programsIn(folder.path).length > 0)
      await new Promise((resolve) => setImmediate(resolve));
    const log = readFileSync(folder.join('data/redis/redis.log'), 'utf8');
    expect(log.trimEnd().split('\n').at(-1)).toMatch(/Redis is now ready to exit, bye bye/);
  });
});
