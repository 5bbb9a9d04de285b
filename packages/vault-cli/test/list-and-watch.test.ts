import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { runOrThrow } from '../../../test/harness/program.js';
import { Resources } from '../../../test/harness/resources.js';
import { FakeServer, TOKEN } from './support/fake-server.js';
import { BINARY, CliRunner } from './support/run-cli.js';

/** Each test starts programs, on a machine that may be busy. */
jest.setTimeout(30_000);

const METHODS = {
  'server.set': {
    description: 'change a server',
    params: {
      id: { type: 'string' },
      host: { type: ['string', 'null'], optional: true },
      port: { default: 443 },
      force: { type: 'boolean', default: false, optional: false },
    },
    permission: 'write',
  },
  'server.add': { description: '', params: {}, permission: 'write' },
  'user.getAll': { params: null },
};
const OBJECTS = {
  b: { id: 'b', type: 'server', host: 'beta' },
  a: { id: 'a', type: 'remote', host: 'alpha' },
};

const resources = new Resources();
let server: FakeServer;
let cli: CliRunner;
let env: Record<string, string>;
beforeEach(async () => {
  server = resources.use(await FakeServer.start());
  cli = resources.use(new CliRunner());
  env = { VAULT_URL: server.url, VAULT_CLI_TOKEN: TOKEN };
  server.methods['system.getMethodsInfo'] = () => METHODS;
  server.methods['xo.getAllObjects'] = () => OBJECTS;
});
afterEach(() => resources.stop());

const complete = async (...words: string[]) => {
  const args = ['--get-yargs-completions', 'vault-cli', ...words];
  const { stdout } = await cli.run(args, { env });
  return stdout.split('\n').filter((line) => line !== '');
};

describe('list-commands', () => {
  it('shows the methods sorted, with their parameters', async () => {
    const { stdout } = await cli.run(['list-commands'], { env });
    expect(stdout).toBe(
      [
        'server.add',
        'server.set id=<string> [host=<string|null>] [port=<any>] force=<boolean>',
        '    change a server',
        'user.getAll',
        '',
      ].join('\n'),
    );
  });

  it('takes globs, any of which may match', async () => {
    const { stdout } = await cli.run(['list-commands', '*.add', '{user,group}.*'], { env });
    expect(stdout).toBe('server.add\nuser.getAll\n');
  });

  it('prints JSON with --json', async () => {
    const { stdout } = await cli.run(['list-commands', '--json', 'server.*'], { env });
    expect(JSON.parse(stdout)).toEqual({
      'server.add': METHODS['server.add'],
      'server.set': METHODS['server.set'],
    });
  });

  it('is what --help behind a method shows, without a sign-in where there is no token', async () => {
    const { status, stdout } = await cli.run(['server.add', '--help'], {
      env: { VAULT_URL: server.url },
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'server.add\n' });
    expect(server.calledMethods).toEqual(['system.getMethodsInfo']);
  });
});

describe('list-objects', () => {
  it('prints an array for programs', async () => {
    const { stdout } = await cli.run(['list-objects'], { env });
    expect(JSON.parse(stdout)).toEqual([OBJECTS.b, OBJECTS.a]);
    expect(server.paramsOf('xo.getAllObjects')).toEqual({});
  });

  it('shows some properties and lets the server filter', async () => {
    const words = ['list-objects', '--id', '--host', 'type=server', 'enabled=true', 'n=json:1'];
    const { stdout } = await cli.run(words, { env });
    expect(JSON.parse(stdout)).toEqual([
      { id: 'b', host: 'beta' },
      { id: 'a', host: 'alpha' },
    ]);
    expect(server.paramsOf('xo.getAllObjects')).toEqual({
      filter: { type: 'server', enabled: true, n: 1 },
    });
  });

  it('refuses a term that is neither', async () => {
    expect(await cli.run(['list-objects', 'type'], { env })).toMatchObject({ status: 2 });
  });

  it('shows a table on a terminal', async () => {
    const program = cli.startOnTerminal(['list-objects', '--id', '--host'], env);
    await program.exited;
    expect(program.stdout).toMatch(/│ b +│ beta +│/);
  });
});

describe('watch', () => {
  const enter = { type: 'enter', items: { a: OBJECTS.a } };
  beforeEach(() => {
    // Sent before the answer to the sign-in: nothing may be missed.
    const signIn = server.methods['session.signIn'];
    server.methods['session.signIn'] = (call) => {
      call.notify('all', enter);
      return signIn?.(call);
    };
  });

  it('prints a line of JSON a notification, and counts on standard error after Ctrl-C', async () => {
    const program = cli.start(['watch', '--ndjson'], env);
    await program.waitForOutput(/\n/);
    server.broadcast('{"jsonrpc":"2.0","method":"all","params":{"type":"exit","items":{"a":0}}}');
    await program.waitForOutput(/\n.*\n/);
    program.signal('SIGINT');
    expect(await program.exited).toMatchObject({ status: 0 });
    expect(
      program.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { method: 'all', params: enter },
      { method: 'all', params: { type: 'exit', items: { a: 0 } } },
    ]);
    expect(program.stderr).toBe('all: 2\n');
    expect(server.calledMethods).toEqual(['session.signIn']);
  });

  it('fails when the server goes away', async () => {
    const program = cli.start(['watch'], env);
    await program.waitForOutput(/all \{/);
    server.closeClients();
    expect(await program.exited).toMatchObject({ status: 5 });
    expect(program.stderr).toContain('✖ the server closed the connection');
  });
});

describe('completion', () => {
  it('gives a script for the shell', async () => {
    const { stdout } = await cli.run(['completion'], { env: { SHELL: '/bin/bash' } });
    expect(stdout).toContain('--get-yargs-completions');
    expect(stdout).toContain('complete -o bashdefault -o default -F');
    expect(stdout).toContain('compopt -o nospace');
    const zsh = await cli.run(['completion'], { env: { SHELL: '/bin/zsh' } });
    expect(zsh.stdout).toContain('#compdef vault-cli');
  });

  it('works in bash', async () => {
    const { stdout: script } = await cli.run(['completion'], { env: { SHELL: '/bin/bash' } });
    writeFileSync(cli.folder.join('script'), script);
    const program = cli.folder.join('vault-cli');
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${BINARY}' "$@"\n`, {
      mode: 0o755,
    });
    const press = async (...words: string[]) => {
      const line = words.map((word) => `'${word}'`).join(' ');
      const commands = `. ./script; COMP_WORDS=(vault-cli ${line}); COMP_CWORD=${words.length}
        _vault-cli_yargs_completions; echo "\${COMPREPLY[@]}"`;
      return await runOrThrow('bash', ['-c', commands], {
        cwd: cli.folder.path,
        env: { ...env, HOME: cli.folder.path, PATH: `${cli.folder.path}:${process.env['PATH']}` },
      });
    };
    expect(await press('regi')).toBe('register\n');
    expect(await press('server.s')).toBe('server.set\n');
    // bash splits words at =.
    expect(await press('server.set', 'id', '=', '1', 'ho')).toBe('host=\n');
  });

  it('completes commands, options, and methods of the server', async () => {
    expect(await complete('')).toEqual(expect.arrayContaining(['register', 'watch', 'server.add']));
    expect(await complete('server.a')).toContain('server.add');
    expect(await complete('server.a')).not.toContain('user.getAll');
    expect(await complete('call', 'server.a')).toContain('server.add');
    expect(await complete('register', '--')).toContain('--expiresIn');
  });

  it('completes the parameters of a method', async () => {
    expect(await complete('server.set', 'id=1', 'ho')).toContain('host=');
  });

  it('is silent when no server answers', async () => {
    await server.stop();
    env = { VAULT_URL: server.url };
    expect(await complete('server.a')).not.toContain('server.add');
  });
});
