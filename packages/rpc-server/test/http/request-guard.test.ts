import { expect, test } from '@jest/globals';
import { RequestGuard } from '../../src/http/request-guard.js';

const guard = new RequestGuard({
  allowedHosts: ['Vault.example.org'],
  allowedOrigins: ['https://console.example.org'],
});

test.each([
  [{ host: 'localhost:7400' }],
  [{ host: '127.0.0.1:7400' }],
  [{ host: '[::1]:7400' }],
  [{ host: 'vault.example.ORG' }],
  [{ host: 'localhost:7400', origin: 'http://localhost:7400' }],
  [{ host: 'localhost', origin: 'https://console.example.org' }],
  [{ host: 'localhost', 'sec-fetch-site': 'same-origin' }],
  [{ host: 'localhost', 'sec-fetch-site': 'none' }],
])('lets %j through', (headers) => {
  expect(guard.refusal(headers, false)).toBeUndefined();
});

test.each([
  [{}, 400],
  [{ host: 'a b' }, 400],
  [{ host: 'localhost:7400:1' }, 400],
  [{ host: 'attacker.example:7400' }, 421],
  [{ host: 'localhost.attacker.example' }, 421],
  [{ host: 'localhost:7400', origin: 'http://localhost:7401' }, 403],
  [{ host: 'localhost:7400', origin: 'http://attacker.example' }, 403],
  [{ host: 'localhost:7400', origin: 'null' }, 403],
  [{ host: 'localhost', 'sec-fetch-site': 'cross-site' }, 403],
  [{ host: 'localhost', 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' }, 403],
])('refuses %j with %p', (headers, status) => {
  expect(guard.refusal(headers, false)).toMatchObject({ status });
});

test('lets other sites link to the console, and only to it', () => {
  const headers = {
    host: 'localhost',
    'sec-fetch-site': 'cross-site',
    'sec-fetch-mode': 'navigate',
  };
  expect(guard.refusal(headers, true)).toBeUndefined();
  expect(guard.refusal({ ...headers, 'sec-fetch-mode': 'cors' }, true)).toMatchObject({
    status: 403,
  });
});
