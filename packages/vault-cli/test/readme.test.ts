import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../../test/harness/program.js';
import { Resources } from '../../../test/harness/resources.js';
import { COMMANDS } from '../src/command-table.js';
import { EXIT_STATUSES } from '../src/exit-status.js';
import { FakeServer, TOKEN } from './support/fake-server.js';
import { CliRunner } from './support/run-cli.js';

/** Each test starts programs, on a machine that may be busy. */
jest.setTimeout(30_000);

const PACKAGE = join(import.meta.dirname, '..');
const README = readFileSync(join(PACKAGE, 'README.md'), 'utf8');

const resources = new Resources();
afterEach(() => resources.stop());

/** Rows of the table with these headings, cell by cell. */
function tableOf(...headings: readonly string[]): string[][] {
  const rows = README.split('\n').map((line) => line.split('|').slice(1, -1).map(trim));
  const first = rows.findIndex((row) => row.join() === headings.join()) + 2;
  const length = rows.slice(first).findIndex((row) => row.length === 0);
  return rows.slice(first, first + length);
}

const trim = (text: string) => text.trim();

describe('the README', () => {
  it('has all commands, as the program describes them', () => {
    expect(tableOf('command', 'what it does')).toEqual(
      COMMANDS.map(({ name, summary }) => [`\`${name}\``, summary]),
    );
  });

  it('has all exit statuses', () => {
    expect(tableOf('status', 'meaning')).toEqual(
      Object.values(EXIT_STATUSES).map(({ status, meaning }) => [String(status), meaning]),
    );
  });

  it('has an example that works against a server', async () => {
    const server = resources.use(await FakeServer.start());
    server.methods['system.getServerVersion'] = () => '1.2.3';
    const code = /^```ts\n([^]*?)^```$/m.exec(README)?.[1] ?? '';
    // In the package, so that the import of its own name is found.
    mkdirSync(join(PACKAGE, 'node_modules'), { recursive: true });
    const folder = mkdtempSync(join(PACKAGE, 'node_modules/readme-'));
    resources.defer(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'example.mjs'), code);
    const result = await runProgram(process.execPath, [join(folder, 'example.mjs')], {
      env: { PATH: process.env['PATH'], VAULT_URL: server.url, VAULT_CLI_TOKEN: TOKEN },
    });
    expect(result).toMatchObject({ status: 0, stdout: '1.2.3\n', stderr: '' });
  });
});

describe('the help', () => {
  it('has all commands and exit statuses, and ends well', async () => {
    const cli = resources.use(new CliRunner());
    const { status, stdout, stderr } = await cli.run(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const { name } of COMMANDS) expect(stdout).toContain(`vault-cli ${name}`);
    for (const { meaning } of Object.values(EXIT_STATUSES)) expect(stdout).toContain(meaning);
    expect(await cli.run([])).toMatchObject({ status: 0, stdout });
    expect(await cli.run(['help'])).toMatchObject({ status: 0, stdout });
    const ofRegister = await cli.run(['register', '--help']);
    expect(ofRegister).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('--expiresIn'),
    });
    expect(await cli.run(['help', 'register'])).toEqual(ofRegister);
    expect(await cli.run(['--version'])).toMatchObject({
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });
});
