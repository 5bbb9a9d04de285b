import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Resources } from '../../../test/harness/resources.js';
import { FakeServer, PASSWORD, TOKEN, WireError } from './support/fake-server.js';
import { CliRunner } from './support/run-cli.js';

/** Each test starts programs, on a machine that may be busy. */
jest.setTimeout(30_000);

/** A key that was made for this test. */
const PEM = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFvBbzNXnQiPzUgAmxOLrNGsxmPqXcmCzvCf5vFQ3Vxu
-----END PRIVATE KEY-----
`;
const CRLF_PEM = PEM.slice(0, -1).replaceAll('\n', '\r\n');
/** Every character up to U+07FF: control characters, NUL, and no line end last. */
const BINARY_TEXT = String.fromCharCode(...Array.from({ length: 0x800 }, (_, n) => n));
const MEBIBYTE = `${'0123456789abcde\n'.repeat(2 ** 16).slice(0, -1)}x`;
const NO_TEXT = Buffer.from([0x6d, 0xff, 0xfe, 0x0a]);

const resources = new Resources();
let server: FakeServer;
let cli: CliRunner;
let env: Record<string, string>;
beforeEach(async () => {
  server = resources.use(await FakeServer.start());
  cli = resources.use(new CliRunner());
  env = { VAULT_URL: server.url, VAULT_CLI_TOKEN: TOKEN };
});
afterEach(() => resources.stop());

describe('a token for a server that is elsewhere', () => {
  it('goes over plain HTTP only with a warning', async () => {
    server.methods['vm.get'] = () => null;
    // An address that is not known to be this machine, though it leads here.
    const elsewhere = { ...env, VAULT_URL: server.url.replace('127.0.0.1', '0.0.0.0') };
    const { status, stderr } = await cli.run(['vm.get'], { env: elsewhere });
    expect(status).toBe(0);
    expect(stderr).toMatch(/^! http:\/\/0\.0\.0\.0:\d+ is not protected by TLS/);
    expect((await cli.run(['vm.get'], { env })).stderr).toBe('');
  });
});

describe('the parameters of a call', () => {
  it('go over as they are typed, with or without the word call', async () => {
    server.methods['vm.set'] = () => true;
    const words = [
      'vm.set',
      'a=1',
      'g=a=b',
      'f=',
      'b=true',
      'c=false',
      'd=json:42',
      'j.k=x',
      'i?=x',
    ];
    const params = { a: '1', g: 'a=b', f: '', b: true, c: false, d: 42, 'j.k': 'x', 'i?': 'x' };
    expect(await cli.run(words, { env })).toMatchObject({ status: 0, stdout: 'true\n' });
    expect(server.paramsOf('vm.set')).toEqual(params);
    await cli.run(['call', ...words, 'e=json:["-",null]'], { env });
    expect(server.paramsOf('vm.set')).toEqual({ ...params, e: ['-', null] });
  });

  it('are an empty object when there are none', async () => {
    server.methods['vm.get'] = () => null;
    expect(await cli.run(['vm.get'], { env })).toMatchObject({ status: 0, stdout: 'null\n' });
    expect(server.paramsOf('vm.get')).toEqual({});
  });

  it.each<[string, string | Uint8Array, string]>([
    ['a key in PEM', PEM, PEM.slice(0, -1)],
    ['a key in PEM without its last line feed', PEM.slice(0, -1), PEM.slice(0, -1)],
    ['a key in PEM of another system', PEM.replaceAll('\n', '\r\n'), CRLF_PEM],
    ['two line feeds at the end', 'a\n\n', 'a\n'],
    ['text that looks binary', BINARY_TEXT, BINARY_TEXT],
    ['a byte order mark', '\uFEFFa\n', '\uFEFFa'],
    ['1 MiB', MEBIBYTE, MEBIBYTE],
  ])('are standard input or a file as a whole: %s', async (_name, input, value) => {
    server.methods['saml.add'] = () => 'id';
    writeFileSync(cli.folder.join('key.pem'), input);
    const words = ['saml.add', 'name=idp', 'privateKey=-', 'certificate=@key.pem', 'x=@@y'];
    expect(await cli.run(words, { env, input })).toMatchObject({ status: 0, stderr: '' });
    const { privateKey, certificate, ...others } = server.paramsOf('saml.add') as typeof words & {
      privateKey: string;
      certificate: string;
    };
    expect(others).toEqual({ name: 'idp', x: '@y' });
    expect(privateKey === value).toBe(true);
    expect(certificate === value).toBe(true);
  });

  it('are what a pipe of the shell holds', async () => {
    server.methods['saml.add'] = () => 'id';
    execFileSync('mkfifo', [cli.folder.join('pipe')]);
    const running = cli.run(['saml.add', 'privateKey=@pipe'], { env });
    await writeFile(cli.folder.join('pipe'), PEM);
    expect(await running).toMatchObject({ status: 0 });
    expect(server.paramsOf('saml.add')).toEqual({ privateKey: PEM.slice(0, -1) });
  });

  it.each<[string, readonly string[], string | Uint8Array, number, string]>([
    ['nothing on standard input', ['a=-'], '', 2, 'standard input, which ended before it'],
    ['a line feed alone', ['a=-'], '\n', 2, 'standard input, which is empty'],
    ['bytes that are no text', ['a=-'], NO_TEXT, 2, 'is not UTF-8 text: encode it first'],
    ['over 16 MiB', ['a=-'], Buffer.alloc(16 * 2 ** 20 + 1, 'x'), 2, 'holds over 16 MiB'],
    [
      'two values of one input',
      ['a=-', 'b=-'],
      'm4rk3r\nm4rk3r\n',
      2,
      'give one of them as b=@file',
    ],
    ['a file that is not there', ['a=@none'], '', 10, 'the file none cannot be read (ENOENT)'],
    ['a folder', ['a=@.'], '', 10, 'the file . cannot be read (EISDIR)'],
    ['an empty file', ['a=@empty'], '', 10, 'the file empty is empty'],
    ['a file that is no text', ['a=@bytes'], '', 10, 'the file bytes is not UTF-8 text'],
    ['a file without an end', ['a=@/dev/zero'], '', 10, 'holds over 16 MiB'],
    [
      'more than the password',
      ['--user', 'admin'],
      `${PASSWORD}\nm4rk3r\n`,
      2,
      'nothing takes the rest',
    ],
  ])('are refused before the call: %s', async (_name, words, input, status, message) => {
    server.methods['vm.set'] = () => true;
    writeFileSync(cli.folder.join('empty'), '');
    writeFileSync(cli.folder.join('bytes'), NO_TEXT);
    const result = await cli.run(['vm.set', ...words], { env, input });
    expect(result).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(message) });
    expect(result.stderr).not.toContain('m4rk3r');
    expect(server.calledMethods).not.toContain('vm.set');
  });

  it('come behind the password of --user on standard input', async () => {
    server.methods['secret.add'] = () => 'id';
    const args = ['--url', server.url, '--user', 'admin', 'secret.add', 'value=-'];
    await cli.run(args, { input: `${PASSWORD}\ns3cret\n` });
    expect(server.paramsOf('secret.add')).toEqual({ value: 's3cret' });
    await cli.run(args, { input: `${PASSWORD}\n${PEM}` });
    expect(server.paramsOf('secret.add')).toEqual({ value: PEM.slice(0, -1) });
  });

  it('are not asked for when several lines are pasted', async () => {
    server.methods['saml.add'] = () => 'id';
    const program = cli.startOnTerminal(['saml.add', 'privateKey=-'], env);
    await program.waitForOutput(/privateKey:/);
    program.write(PEM.replaceAll('\n', '\r'));
    expect(await program.exited).toMatchObject({ status: 2 });
    expect(program.stdout).toContain('give a text of several lines as name=@file');
    expect(program.stdout).not.toContain('MC4CAQAw');
    expect(server.calledMethods).not.toContain('saml.add');
  });

  it('are asked for without echo on a terminal', async () => {
    server.methods['server.add'] = () => 'id-7';
    const words = ['server.add', 'password=', 'value=?', 'line=-'];
    const program = cli.startOnTerminal(words, env);
    await program.waitForOutput(/password:/);
    program.write('pass-w0rd\r');
    await program.waitForOutput(/value:/);
    program.write('v4lue\r');
    await program.waitForOutput(/line:/);
    program.write('l1ne\r');
    expect(await program.exited).toMatchObject({ status: 0 });
    expect(server.paramsOf('server.add')).toEqual({
      password: 'pass-w0rd',
      value: 'v4lue',
      line: 'l1ne',
    });
    expect(program.stdout).toContain('id-7');
    expect(program.stdout).not.toMatch(/pass-w0rd|v4lue|l1ne/);
  });

  it('are asked for twice when they are a new secret', async () => {
    server.methods['system.exportConfig'] = () => 'exported';
    const program = cli.startOnTerminal(['system.exportConfig', 'passphrase='], env);
    await program.waitForOutput(/passphrase:/);
    program.write('one\r');
    await program.waitForOutput(/again:/);
    program.write('another\r');
    expect(await program.exited).toMatchObject({ status: 2 });
    expect(program.stdout).toContain('the two answers differ');
    expect(server.calledMethods).not.toContain('system.exportConfig');
  });

  it.each([
    ['without =', ['vm.get', 'geheim'], 'argument 1 after the method: expected name=value'],
    ['without a name', ['vm.get', 'a=1', '=geheim'], 'argument 2 after the method'],
    ['twice', ['vm.get', 'a=geheim', 'a=geheim'], 'a is given twice'],
    ['bad JSON', ['vm.get', 'a=json:{geheim'], 'a: what follows json: is not JSON'],
    ['empty where that is no passphrase', ['vm.get', 'passphrase='], 'give passphrase=-'],
    ['an unknown option', ['vm.get', '--geheim1'], 'an argument too many'],
    ['no method', ['geheim'], 'there is no command'],
    ['sign-in', ['session.signIn', 'token=x'], 'not for one call'],
  ])('are refused before the call: %s', async (_name, args, message) => {
    const { status, stderr, stdout } = await cli.run(args, { env });
    expect({ status, stderr, stdout }).toEqual({
      status: 2,
      stderr: expect.stringContaining(message),
      stdout: '',
    });
    expect(stderr.replace('command geheim', '')).not.toContain('geheim');
    expect(server.calledMethods.filter((method) => method === 'vm.get')).toEqual([]);
  });
});

describe('the result of a call', () => {
  const servers = [
    { host: 'alpha.example.org', id: '1', enabled: true, tags: ['a'] },
    { host: 'evil\u001b[2J', id: '2', enabled: false },
  ];

  it('is JSON with --json, wherever that stands', async () => {
    server.methods['server.getAll'] = () => servers;
    const before = await cli.run(['server.getAll', '--json', 'limit=json:2'], { env });
    const behind = await cli.run(['server.getAll', 'limit=json:2', '--json'], { env });
    expect(JSON.parse(before.stdout)).toEqual(servers);
    expect(behind.stdout).toBe(before.stdout);
  });

  it('is a dump with sorted keys in a pipe', async () => {
    server.methods['server.get'] = () => ({ b: { d: [1], c: null }, a: 'x' });
    const { stdout } = await cli.run(['server.get'], { env });
    expect(stdout).toBe("{ a: 'x', b: { c: null, d: [ 1 ] } }\n");
  });

  it('is a string as it is, and an integer is printed: no exit status as with xo-cli', async () => {
    server.methods['a.text'] = () => 'two\nlines';
    server.methods['a.number'] = () => 3;
    expect(await cli.run(['a.text'], { env })).toMatchObject({ status: 0, stdout: 'two\nlines\n' });
    expect(await cli.run(['a.number'], { env })).toMatchObject({ status: 0, stdout: '3\n' });
  });

  it('is a table on a terminal, which a record cannot take over', async () => {
    server.methods['server.getAll'] = () => servers;
    const program = cli.startOnTerminal(['server.getAll'], env);
    await program.exited;
    const lines = program.stdout.split('\r\n');
    expect(lines[1]).toMatch(/│ id +│ host +│ enabled +│ tags +│/);
    expect(lines[3]).toMatch(/│ 1 +│ alpha\.example\.org +│ true +│ \["a"\] +│/);
    expect(lines[4]).toMatch(/│ 2 +│ evil\\u001b\[2J +│ false +│ +│/);
    expect(program.stdout).not.toContain('\u001b[2J');
  });

  it('shows how far a long call is, on a terminal', async () => {
    let answer: ((result: object) => void) | undefined;
    const finished = new Promise((resolve) => {
      answer = resolve;
    });
    server.methods['encryption.rotateKeys'] = (call) => {
      const operation = 'encryption.rotateKeys';
      call.notify('progress', { operation, phase: 'rekey', done: 250, total: 1000 });
      return finished;
    };
    const program = cli.startOnTerminal(['encryption.rotateKeys'], env);
    await program.waitForOutput(/rekey .* 25 % {2}250 of 1,000/);
    answer?.({ keyId: '00112233' });
    expect(await program.exited).toMatchObject({ status: 0 });
    expect(program.stdout).toContain("keyId: '00112233'");
  });
});

describe('an error of a call', () => {
  it('shows each problem of the parameters', async () => {
    server.methods['vm.set'] = () => {
      throw new WireError(10, 'invalid parameters', {
        errors: [
          { instancePath: '', message: "must have required property 'id'" },
          { instancePath: '/name', message: 'must be string' },
          {
            instancePath: '',
            message: 'must NOT have additional properties',
            params: { additionalProperty: 'nmae' },
          },
        ],
      });
    };
    expect(await cli.run(['vm.set'], { env })).toMatchObject({
      status: 8,
      stdout: '',
      stderr: [
        '✖ invalid parameters',
        "  property @: must have required property 'id'",
        '  property @./name: must be string',
        '  property @: must NOT have additional properties ("nmae")',
        '',
      ].join('\n'),
    });
  });

  it.each([
    [-32001, { reason: 'oneHalf' }, 6, 'vault-server status'],
    [-32002, {}, 6, 'try again'],
    [-32003, {}, 6, '--user recovery'],
    [2, { permission: 'admin' }, 4, 'no way'],
    [1, { id: 'x' }, 9, 'no way'],
    [-32000, undefined, 1, 'log'],
    [4711, undefined, 1, 'no way'],
  ])('with code %d gives its exit status', async (code, data, status, hint) => {
    server.methods['vm.set'] = () => {
      throw new WireError(code, 'no way', data);
    };
    const result = await cli.run(['vm.set'], { env });
    expect(result).toMatchObject({ status, stderr: expect.stringContaining(hint) });
    expect(result.stderr).toMatch(/^✖ no way\n/);
    expect(result.stderr).not.toContain('    at ');
  });

  it('says a reason once, where the message has it already', async () => {
    server.methods['vm.set'] = () => {
      throw new WireError(5, 'no new key can be written: no room', { reason: 'no room' });
    };
    const { stderr } = await cli.run(['vm.set'], { env });
    expect(stderr.match(/no room/g)).toHaveLength(1);
  });

  it('ends, too, where the server refuses the message unread and so names no call', async () => {
    server.methods['vm.set'] = () => {
      const error = { code: -32600, message: 'too many objects inside each other' };
      server.broadcast(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
      return new Promise(() => undefined);
    };
    const { status, stderr } = await cli.run(['vm.set'], { env });
    expect(status).toBe(1);
    expect(stderr).toContain('✖ too many objects inside each other\n');
  });

  it('survives data that no server should send', async () => {
    server.methods['vm.set'] = () => {
      throw new WireError(10, 'odd\u001b[2J', { errors: [null, 7, { message: {} }] });
    };
    const { status, stderr } = await cli.run(['vm.set'], { env });
    expect(status).toBe(8);
    expect(stderr).toContain('✖ odd\\u001b[2J\n');
  });

  it('comes with its stack when debugging', async () => {
    const { status, stderr } = await cli.run(['vm.none'], { env: { ...env, DEBUG: 'vault-cli' } });
    expect(status).toBe(9);
    expect(stderr).toContain('✖ method not found: vm.none\n');
    expect(stderr).toContain('    at ');
  });

  it('says that what the call did is not known when the connection is cut', async () => {
    server.methods['vm.set'] = (call) => call.cut();
    const { status, stderr } = await cli.run(['vm.set'], { env });
    expect({ status, stderr }).toEqual({ status: 5, stderr: expect.stringContaining('not known') });
  });

  it('says that nothing was done when the call is larger than the server takes', async () => {
    server.methods['vm.set'] = () => true;
    const input = 'x'.repeat(5 * 2 ** 20);
    expect(await cli.run(['vm.set', 'a=-'], { env, input })).toMatchObject({
      status: 8,
      stderr: expect.stringMatching(
        /^✖ the call is larger than the server takes\n.*nothing was done/,
      ),
    });
    expect(server.calledMethods).not.toContain('vm.set');
  });

  it('tells of a peer that sends rubbish', async () => {
    server.methods['vm.set'] = () => {
      server.broadcast('rubbish');
      return new Promise(() => {});
    };
    expect(await cli.run(['vm.set'], { env })).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('not JSON-RPC'),
    });
  });

  it('is status 130 when it is stopped while it waits for standard input', async () => {
    const program = cli.start(['vm.set', 'a=-'], env);
    await server.waitForCall('session.signIn');
    program.signal('SIGTERM');
    expect(await program.exited).toMatchObject({ status: 130 });
  });

  it('is status 130 after Ctrl-C', async () => {
    server.methods['vm.wait'] = () => new Promise(() => {});
    const program = cli.start(['vm.wait'], env);
    await server.waitForCall('vm.wait');
    program.signal('SIGINT');
    expect(await program.exited).toMatchObject({ status: 130 });
  });
});
