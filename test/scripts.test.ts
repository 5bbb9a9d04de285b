import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { runProgram, type ProgramResult } from './harness/program.js';
import { TemporaryFolder } from './harness/temporary-folder.js';

/**
 * scripts/start in a clone whose node, npm and apt-get only write down how they were called, and with a PATH that has
 * nothing else but what every Debian has.
 */
class FakeClone {
  readonly #folder = new TemporaryFolder('vault-start');
  readonly #bin = this.#folder.join('bin');

  constructor() {
    for (const file of ['start', 'setup.bash']) {
      const source = join(import.meta.dirname, '../scripts', file);
      cpSync(source, this.#folder.join('clone/scripts', file), { recursive: true });
    }
    this.write('package-lock.json', '{}');
    this.write('tsconfig.base.json', '{}');
    for (const name of ['rpc-server', 'vault-cli']) {
      this.write(`packages/${name}/tsconfig.json`, '{}');
      this.write(`packages/${name}/package.json`, '{}');
      this.write(`packages/${name}/src/main.ts`, '');
      this.write(`packages/${name}/dist/main.js`, '');
    }
    for (const tool of ['bash', 'basename', 'cat', 'dirname', 'find', 'mkdir', 'mv', 'sha256sum']) {
      this.linkTool(tool);
    }
    this.fakeTool('node');
    this.fakeTool('npm', 'mkdir -p node_modules');
    this.fakeTool('redis-server');
    chmodSync(this.#folder.path, 0o755);
    writeFileSync(this.#calls, '', { mode: 0o666 });
    chmodSync(this.#calls, 0o666); // another user writes to it too, whatever the umask
  }

  get root(): string {
    return this.#folder.join('clone');
  }

  get #calls(): string {
    return this.#folder.join('calls');
  }

  write(path: string, text: string): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  linkTool(name: string): void {
    mkdirSync(this.#bin, { recursive: true });
    symlinkSync(`/usr/bin/${name}`, join(this.#bin, name));
  }

  fakeTool(name: string, script = ''): void {
    const text = `#!/bin/bash\necho "${name} $*" >>'${this.#calls}'\n${script}\n`;
    writeFileSync(join(this.#bin, name), text);
    chmodSync(join(this.#bin, name), 0o755);
  }

  removeTool(name: string): void {
    rmSync(join(this.#bin, name));
  }

  /** A line of a fake tool's script that makes another tool appear. */
  appearance(name: string): string {
    return `/usr/bin/ln -s /usr/bin/true '${join(this.#bin, name)}'`;
  }

  async start(args: readonly string[], user: 'root' | 'nobody' = 'root'): Promise<ProgramResult> {
    const isRoot = process.getuid?.() === 0;
    const becoming = { root: ['unshare', '--map-root-user'], nobody: ['setpriv', '--reuid=65534'] };
    const prefix = isRoot === (user === 'root') ? [] : becoming[user];
    const script = join(this.root, 'scripts/start');
    const command = [...prefix, 'env', '-i', `PATH=${this.#bin}`, '/bin/bash', script, ...args];
    return runProgram(command[0] as string, command.slice(1), { cwd: this.root });
  }

  /** What was called since the last time, the version question to node left out. */
  takeCalls(): string[] {
    const calls = readFileSync(this.#calls, 'utf8').split('\n');
    writeFileSync(this.#calls, '');
    return calls
      .filter((call) => /^(node (node_modules|packages)|npm|apt-get)/.test(call))
      .map((call) => call.replaceAll(this.root, '<clone>'));
  }

  async stop(): Promise<void> {
    await this.#folder.stop();
  }
}

describe('scripts/start', () => {
  let clone: FakeClone;
  beforeEach(() => {
    clone = new FakeClone();
  });
  afterEach(() => clone.stop());

  const INSTALL = 'npm ci --no-audit --no-fund --loglevel=error';
  const BUILD = 'node node_modules/typescript/bin/tsc -b packages/rpc-server packages/vault-cli';
  const SERVER = 'node packages/rpc-server/bin/vault-server.js';
  const CONFIG = '<clone>/.vault/config.toml';

  test('installs dependencies, builds, writes a configuration and starts the server', async () => {
    expect(await clone.start([])).toMatchObject({ status: 0, stdout: '' });
    expect(clone.takeCalls()).toEqual([
      INSTALL,
      BUILD,
      `${SERVER} init --config ${CONFIG} --datadir <clone>/.vault/data`,
      `${SERVER} start --config ${CONFIG}`,
    ]);
  });

  test('does only what is left to do the second time', async () => {
    await clone.start([]);
    clone.takeCalls();
    clone.write('.vault/config.toml', '');
    await clone.start([]);
    expect(clone.takeCalls()).toEqual([`${SERVER} start --config ${CONFIG}`]);
  });

  test.each([
    ['package-lock.json', [INSTALL, BUILD]],
    ['packages/rpc-server/src/main.ts', [BUILD]],
    ['packages/vault-cli/src/new.ts', [BUILD]],
    ['packages/vault-cli/package.json', [BUILD]],
  ])('does again what depends on a changed %s', async (path, calls) => {
    await clone.start([]);
    clone.write('.vault/config.toml', '');
    clone.takeCalls();
    clone.write(path, '{ }');
    await clone.start([]);
    expect(clone.takeCalls().slice(0, -1)).toEqual(calls);
  });

  test('hands options on, paths made absolute', async () => {
    await clone.start(['--port=7411', '--datadir', 'my data', '--config', 'my.toml']);
    expect(clone.takeCalls().slice(2)).toEqual([
      `${SERVER} init --config <clone>/my.toml --datadir <clone>/my data`,
      `${SERVER} start --config <clone>/my.toml --port 7411 --datadir <clone>/my data`,
    ]);
  });

  test.each([
    [['--prot', '1'], /unknown option: --prot/],
    [['--port'], /--port needs a value/],
  ])('refuses %j before it does anything', async (args, message) => {
    const { status, stderr } = await clone.start(args);
    expect([status, clone.takeCalls()]).toEqual([1, []]);
    expect(stderr).toMatch(message);
  });

  test('updates the package lists only when redis-server is not found in them', async () => {
    clone.removeTool('redis-server');
    clone.fakeTool(
      'apt-get',
      `[[ $1 == update ]] && { : >lists; exit 0; }
[[ -e lists ]] || exit 100
${clone.appearance('redis-server')}`,
    );
    expect((await clone.start([])).status).toBe(0);
    const install = 'apt-get install -y -qq --no-install-recommends redis-server';
    expect(clone.takeCalls().slice(0, 3)).toEqual([install, 'apt-get update -qq', install]);
    await clone.start([]);
    expect(clone.takeCalls().join()).not.toMatch(/apt-get/);
  });

  test('tells who is not root what to install', async () => {
    clone.removeTool('redis-server');
    clone.fakeTool('apt-get');
    const { status, stderr } = await clone.start([], 'nobody');
    expect([status, clone.takeCalls()]).toEqual([1, []]);
    expect(stderr).toBe(
      'start: please install what is missing first: sudo apt-get install redis-server\n',
    );
  });

  test('refuses a Node.js that is too old', async () => {
    clone.fakeTool('node', '[[ $1 == --version ]] && echo v18.0.0 || exit 1');
    const { status, stderr } = await clone.start([]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/Node\.js v18\.0\.0 will not do/);
  });

  test('explains itself', async () => {
    expect((await clone.start(['--help'])).stdout).toMatch(/^Usage: scripts\/start/);
  });
});
