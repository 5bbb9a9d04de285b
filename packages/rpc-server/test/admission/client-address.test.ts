import { describe, expect, test } from '@jest/globals';
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { addressKey, ClientAddresses, proxyList } from '../../src/admission/client-address.js';

function addressOf(
  remoteAddress: string,
  headers: IncomingHttpHeaders,
  trusted: readonly string[] = [],
): string {
  const socket = { remoteAddress } as Socket;
  return new ClientAddresses(trusted).clientOf({ headers, socket }).address;
}

const PROXIES = ['10.0.0.0/8', '2001:db8:1::/48'];

describe('the address of a client', () => {
  test.each<[string, string, IncomingHttpHeaders, readonly string[], string]>([
    ['of a peer without proxies', '198.51.100.1', {}, [], '198.51.100.1'],
    [
      'that a stranger wrote is not believed',
      '198.51.100.1',
      { 'x-forwarded-for': '1.1.1.1' },
      PROXIES,
      '198.51.100.1',
    ],
    [
      'that nobody is trusted for is not believed',
      '10.0.0.1',
      { 'x-forwarded-for': '1.1.1.1' },
      [],
      '10.0.0.1',
    ],
    [
      'behind one proxy',
      '10.0.0.1',
      { 'x-forwarded-for': '198.51.100.7' },
      PROXIES,
      '198.51.100.7',
    ],
    [
      'behind two proxies',
      '10.0.0.1',
      { 'x-forwarded-for': '198.51.100.7, 10.9.9.9' },
      PROXIES,
      '198.51.100.7',
    ],
    [
      'is read from the right: what the client wrote itself stays behind',
      '10.0.0.1',
      { 'x-forwarded-for': '1.1.1.1, 198.51.100.7' },
      PROXIES,
      '198.51.100.7',
    ],
    [
      'with a port',
      '10.0.0.1',
      { 'x-forwarded-for': '198.51.100.7:5123' },
      PROXIES,
      '198.51.100.7',
    ],
    [
      'that is unreadable is the proxy’s',
      '10.0.0.1',
      { 'x-forwarded-for': '1.1.1.1, unknown' },
      PROXIES,
      '10.0.0.1',
    ],
    ['of an IPv4 peer on an IPv6 socket', '::ffff:198.51.100.1', {}, [], '198.51.100.1'],
    [
      'behind an IPv4 proxy on an IPv6 socket',
      '::ffff:10.1.1.1',
      { 'x-forwarded-for': '198.51.100.7' },
      PROXIES,
      '198.51.100.7',
    ],
    [
      'by Forwarded',
      '2001:db8:1::5',
      { forwarded: 'for=1.1.1.1, by=x;for="[2001:db8::17]:4711";proto=https' },
      PROXIES,
      '2001:db8::17',
    ],
  ])('%s', (_, peer, headers, trusted, expected) => {
    expect(addressOf(peer, headers, trusted)).toBe(expected);
  });
});

/** Counts how often a header is read. */
function countedHeaders(): { readonly headers: IncomingHttpHeaders; readonly reads: () => number } {
  let reads = 0;
  const headers = new Proxy<IncomingHttpHeaders>(
    { forwarded: ';for,'.repeat(3000) },
    {
      get: (target, name) => {
        reads += 1;
        return Reflect.get(target, name) as unknown;
      },
    },
  );
  return { headers, reads: () => reads };
}

describe('headers that say who the client is', () => {
  test.each([
    ['of a stranger', '198.51.100.1', PROXIES],
    ['where no proxy is trusted', '10.0.0.1', []],
  ])('are not even read %s', (_, peer, trusted) => {
    const { headers, reads } = countedHeaders();
    expect(addressOf(peer, headers, trusted)).toBe(peer);
    expect(reads()).toBe(0);
  });

  test('are read for twenty proxies one behind another, and no more', () => {
    const chain = (length: number): IncomingHttpHeaders => ({
      'x-forwarded-for': ['1.1.1.1', ...Array.from({ length }, (_, i) => `10.0.1.${i}`)].join(', '),
    });
    expect(addressOf('10.0.0.1', chain(19), PROXIES)).toBe('1.1.1.1');
    expect(addressOf('10.0.0.1', chain(20), PROXIES)).toBe('10.0.1.0');
    expect(addressOf('10.0.0.1', chain(250), PROXIES)).toBe('10.0.1.230');
  });
});

describe('limits count', () => {
  test.each([
    ['198.51.100.1', '198.51.100.1'],
    ['2001:db8:a:b:1:2:3:4', '2001:db8:a:b::/64'],
    ['2001:db8:a:b:ffff::1', '2001:db8:a:b::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1', 'fe80:0:0:0::/64'],
  ])('%s as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});

test.each(['proxy.example.org', '10.0.0.0/33', '10.0.0.0/8/9', '::1/129', '10.0.0.1/', ''])(
  'a trusted proxy is an address or a network: %s is refused',
  (entry) => {
    expect(() => proxyList([entry])).toThrow(RangeError);
  },
);
