/*
 * browser.mjs - Debian's Chromium on the admin pages of a gate.
 *
 *   const browser = await startBrowser();
 *   const { page } = await openPage(browser, gate, { script: false });
 *   await logIn(page, gate);
 *   await browser.close();
 *
 * Every profile is fresh and goes with the browser.
 */
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);

export const { startStack } = require('../../e2e/lib/stack.js');

const MODEL = 'gpt-oss-120b';

export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
      '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-lcd-text'],
  });
}

/*
 * A page in a profile of its own. Options: script (false: no JavaScript at
 * all), width, dark, language, and whatever else a context takes.
 */
export async function openPage(browser, gate,
  { script = false, width = 1280, dark = false, language = 'en', ...more } = {}) {
  const context = await browser.newContext({
    baseURL: gate.baseUrl, javaScriptEnabled: script, locale: language,
    viewport: { width, height: 800 }, colorScheme: dark ? 'dark' : 'light',
    ...more,
  });

  context.setDefaultTimeout(15000);
  return { context, page: await context.newPage() };
}

export async function logIn(page, gate, password = gate.adminPassword) {
  await page.goto('/admin/login');
  await page.getByLabel('Admin password').fill(password);
  await press(page, 'Log in');
}

/* Presses the only button of that name, and returns the answer's status. */
export async function press(page, name, within = page) {
  const [answer] = await Promise.all([
    page.waitForResponse((r) => r.request().isNavigationRequest() &&
      r.status() !== 303),
    within.getByRole('button', { name, exact: true }).click(),
  ]);

  await page.waitForLoadState();
  return answer.status();
}

/* The part of a page under that heading. */
export function part(page, heading) {
  return page.locator('section').filter({
    has: page.getByRole('heading', { name: heading, exact: true, level: 2 }) });
}

/* Makes a key through the pages: { id, secret }. Ends on the key's page. */
export async function makeKey(page, label, fields = {}) {
  await page.goto('/admin/key');
  await page.getByLabel('Label').fill(label);
  for (const [name, value] of Object.entries(fields))
    await page.getByLabel(name, { exact: true }).first().fill(value);
  await press(page, 'Make the key');
  const secret = await page.getByLabel('The key', { exact: true }).inputValue();
  await page.getByRole('link', { name: label }).click();
  return { secret, id: new URL(page.url()).searchParams.get('id') };
}

/* One chat with the gate; the answer's status. */
export async function chat(gate, key, text = 'a note') {
  return (await gate.request('/v1/chat/completions', { key, json: {
    model: MODEL, messages: [{ role: 'user', content: text }] } })).status;
}
