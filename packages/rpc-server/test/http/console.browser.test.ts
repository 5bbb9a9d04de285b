/** The console in a real Chromium. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { ADMIN, ApiFixture } from '../api-fixture.js';

let fixture: ApiFixture;
let browser: Browser;
let page: Page;
/** What the browser complains of: errors of scripts, and what the content security policy stops. */
const complaints: string[] = [];

beforeAll(async () => {
  fixture = await ApiFixture.start();
  const admin = await fixture.signIn();
  await admin.call('secret.add', {
    name: '<b>not markup</b>',
    value: 'MARKER-SECRET',
    description: 'for the console',
  });
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  page = await browser.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await fixture?.stop();
});

async function signIn(password: string): Promise<void> {
  await page.locator('#name').fill(ADMIN.email);
  await page.locator('#password').fill(password);
  await page.locator('#sign-in button').click();
}

test('shows the state, and signs an administrator in to masked records and the status', async () => {
  await page.goto(fixture.url);
  await page.locator('#mode', { hasText: 'serving' }).waitFor();
  await signIn('wrong');
  await page.locator('#problem', { hasText: 'invalid credentials' }).waitFor();

  fixture.clock.aheadMs += 2000;
  await signIn(ADMIN.password);
  await page.locator('#who-name', { hasText: ADMIN.email }).waitFor();
  await page.locator('#status dd', { hasText: 'encrypted' }).first().waitFor();
  expect(await page.locator('#password').inputValue()).toBe('');

  await page.locator('#collection').selectOption('secret');
  const row = page.locator('#rows tr', { hasText: '<b>not markup</b>' });
  await row.waitFor();
  expect(await page.locator('#rows b').count()).toBe(0);
  expect(await page.content()).not.toContain('MARKER-SECRET');
  await row.getByRole('button', { name: 'Reveal' }).click();
  await page.locator('#rows td', { hasText: 'MARKER-SECRET' }).waitFor();
}, 60_000);

test('verifies and rotates, and signs out without a trace on the page', async () => {
  await page.locator('#verify').click();
  await page.locator('#outcome', { hasText: 'records are sound' }).waitFor();
  await page.locator('#rotate').click();
  await page.locator('#outcome', { hasText: 'is active' }).waitFor();
  await page.locator('#sign-out').click();
  await page.locator('#sign-in').waitFor();
  expect(await page.content()).not.toContain('MARKER-SECRET');
  expect(await page.evaluate('localStorage.length + sessionStorage.length')).toBe(0);
  expect(await page.context().cookies()).toEqual([]);
}, 60_000);

test('needs nothing that the content security policy stops', () => {
  expect(complaints).toEqual([]);
});
