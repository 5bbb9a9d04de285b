import { describe, expect, it } from '@jest/globals';
import { UsageError } from '../src/errors.js';
import { parseServerAddress } from '../src/server-address.js';

describe('parseServerAddress', () => {
  it.each([
    ['http://h:80', 'ws://h/api/', 'http://h/api/'],
    ['http://h:7400/', 'ws://h:7400/api/', 'http://h:7400/api/'],
    ['https://h/prefix//', 'wss://h/prefix/api/', 'https://h/prefix/api/'],
    ['ws://[::1]:1', 'ws://[::1]:1/api/', 'http://[::1]:1/api/'],
    ['wss://h', 'wss://h/api/', 'https://h/api/'],
    [
      'h.example.org:7400/x',
      'wss://h.example.org:7400/x/api/',
      'https://h.example.org:7400/x/api/',
    ],
  ])('finds the addresses of %s', (text, webSocketUrl, transferBaseUrl) => {
    expect(parseServerAddress(text)).toMatchObject({ webSocketUrl, transferBaseUrl });
  });

  it.each(['unix:/run/v/vault.sock', 'unix:///run/v/vault.sock', 'UNIX:/run/v/vault.sock'])(
    'takes %s for a local socket, which nobody else can read',
    (text) => {
      expect(parseServerAddress(text)).toMatchObject({
        socketPath: '/run/v/vault.sock',
        label: 'unix:/run/v/vault.sock',
        token: undefined,
        isProtected: true,
      });
    },
  );

  it('takes any path for a socket, also one that no URL could have', () => {
    expect(parseServerAddress('unix:/a b/%41:c?d#e').socketPath).toBe('/a b/%41:c?d#e');
  });

  it.each(['unix:vault.sock', 'unix:', 'unix://host/vault.sock'])(
    'wants the whole path of a socket: %s',
    (text) => {
      expect(() => parseServerAddress(text)).toThrow(/whole path/);
    },
  );

  it('takes the user part for a token, raw, and shows it nowhere else', () => {
    const { token, ...rest } = parseServerAddress('https://a%2Bb@h:1/p');
    expect(token).toBe('a%2Bb');
    expect(JSON.stringify(rest)).not.toContain('a%2Bb');
    expect(rest.label).toBe('https://h:1/p');
  });

  it.each([
    ['http://127.0.0.1', true],
    ['http://127.3.2.1', true],
    ['http://localhost', true],
    ['http://[::1]', true],
    ['https://h', true],
    ['http://h', false],
    ['http://127.0.0.1.example.org', false],
  ])('knows whether %s is protected', (text, isProtected) => {
    expect(parseServerAddress(text).isProtected).toBe(isProtected);
  });

  it.each(['localhost:7400', '127.0.0.1', '[::1]:7400', 'LOCALHOST'])(
    'wants a scheme for this machine: %s',
    (text) => {
      expect(() => parseServerAddress(text)).toThrow(/has no scheme/);
    },
  );

  it.each(['', 'http://', 'ftp://h', 'redis://h', 'https://t:geheim@h', 'https://h?geheim', 'h#x'])(
    'refuses %j without repeating secrets',
    (text) => {
      expect(() => parseServerAddress(text)).toThrow(UsageError);
      expect(() => parseServerAddress(text)).not.toThrow(/geheim/);
    },
  );
});
