/*
 * Log in, make a key, log out: with Tab and Enter alone, and with the focus to
 * be seen wherever it stops.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { chat, openPage, startBrowser, startStack } from './lib/browser.mjs';

const LIMIT = { timeout: 120000 };
const STOPS_MAX = 60;

let browser, gate, context, page;

before(async () => {
  [browser, gate] = await Promise.all([startBrowser(), startStack()]);
  ({ context, page } = await openPage(browser, gate));
}, LIMIT);
after(async () => {
  await context?.close();
  await browser?.close();
  await gate?.stop();
});

/* What has the focus, by the name people know it by; null is the page. */
const focus = () => page.evaluate(() => {
  const e = document.activeElement;

  if (e === null || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {
    name: (e.labels?.[0] ?? e).textContent.trim(),
    inMain: e.closest('main') !== null,
    outlined: e.matches(':focus-visible') && style.outlineStyle !== 'none' &&
      parseFloat(style.outlineWidth) >= 2,
    onScreen: box.width > 0 && box.height > 0 && box.left >= 0 &&
      box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight,
  };
});

async function tab() {
  await page.keyboard.press('Tab');
  let at = await focus();

  /* The browser scrolls to it a little later. */
  for (let i = 0; i < 50 && at !== null && !at.onScreen; i++)
    at = await focus();
  if (at !== null) {
    assert.ok(at.outlined, `no focus is seen on "${at.name}"`);
    assert.ok(at.onScreen, `"${at.name}" is off the screen`);
  }
  return at;
}

async function tabTo(name) {
  for (let i = 0; i < STOPS_MAX; i++)
    if ((await tab())?.name === name) return;
  assert.fail(`Tab never comes to "${name}"`);
}

async function enter() {
  await Promise.all([
    page.waitForEvent('domcontentloaded'), page.keyboard.press('Enter')]);
}

async function fill(name, text) {
  await tabTo(name);
  await page.keyboard.type(text);
}

describe('with Tab and Enter alone', LIMIT, () => {
  it('one logs in', async () => {
    await page.goto('/admin/keys');
    await fill('Admin password', gate.adminPassword);
    await tabTo('Log in');
    await enter();
    assert.match(page.url(), /\/admin\/keys$/);
  });

  it('one skips the navigation', async () => {
    assert.equal((await tab()).name, 'Skip to the content');
    await page.keyboard.press('Enter');
    const next = await tab();
    assert.equal(next.inMain, true, next.name);
  });

  it('one makes a key that works', async () => {
    await tabTo('New key');
    await enter();
    await fill('Label', 'by keyboard');
    await tabTo('Make the key');
    await enter();
    await tabTo('The key');
    const secret = await page.evaluate(() => document.activeElement.value);
    assert.equal(await chat(gate, secret), 200);
  });

  it('every stop of the key\'s page is seen, and none holds the focus',
    async () => {
      await tabTo('by keyboard');
      await enter();
      const stops = await page.locator('main').locator('a, button, select, ' +
        'input:not([type=hidden])').count();
      let inMain = 0;
      for (let i = 0; i < STOPS_MAX; i++) {
        const at = await tab();
        if (at === null) break;
        inMain += at.inMain;
      }
      assert.equal(inMain, stops);
    });

  it('one logs out', async () => {
    await tabTo('Log out');
    await enter();
    assert.match(await page.getByRole('status').textContent(), /logged out/);
  });
});
