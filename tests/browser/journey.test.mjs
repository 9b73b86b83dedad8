/*
 * What an admin does, in a real browser with JavaScript off from beginning to
 * end, and whether the gate obeys.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { chat, logIn, makeKey, openPage, part, press, startBrowser, startStack }
  from './lib/browser.mjs';

const LIMIT = { timeout: 120000 };

let browser;

before(async () => { browser = await startBrowser(); }, LIMIT);
after(() => browser?.close());

describe('the life of a key', LIMIT, () => {
  let gate, context, page, key;

  before(async () => {
    gate = await startStack();
    ({ context, page } = await openPage(browser, gate));
    await logIn(page, gate);
  });
  after(async () => {
    await context?.close();
    await gate?.stop();
  });

  const h1 = () => page.getByRole('heading', { level: 1 }).textContent();
  const goToKey = () => page.goto(`/admin/key?id=${key.id}`);
  const notice = () => page.getByRole('status').textContent();
  const bodyText = () => page.locator('body').innerText();

  it('has no JavaScript, and needs none', async () => {
    assert.equal(await h1(), 'Keys');
    assert.equal(await page.locator('script').count(), 0);
    await page.setContent('<p id=x>off</p>' +
      '<script>document.getElementById("x").textContent = "on"</script>');
    assert.equal(await page.locator('#x').textContent(), 'off');
  });

  it('begins on a form, and the key is shown once', async () => {
    await page.goto('/admin/keys');
    await page.getByRole('link', { name: 'New key' }).click();
    await page.getByLabel('Label').fill('legal aid');
    await page.getByLabel('Requests', { exact: true }).fill('1000');
    assert.equal(await press(page, 'Make the key'), 200);
    const secret =
      await page.getByLabel('The key', { exact: true }).inputValue();
    assert.match(secret, /^pm_[\w-]{43}$/);
    assert.equal(await page.getByLabel('Base URL for apps').inputValue(),
      `${gate.baseUrl}/v1`);
    assert.ok(!page.url().includes(secret));
    await page.getByRole('link', { name: 'legal aid' }).click();
    key = { secret, id: new URL(page.url()).searchParams.get('id') };
    assert.ok(!(await page.content()).includes(secret));
    assert.equal(await h1(), 'legal aid');
  });

  it('is not made again by a reload of its form', async () => {
    await page.goto('/admin/key');
    await page.getByLabel('Label').fill('twice');
    await press(page, 'Make the key');
    assert.equal((await page.reload()).status(), 409);
    assert.equal(await h1(), 'This form was sent before');
    await page.goto('/admin/keys?q=twice');
    assert.equal(await page.getByRole('row').filter({ hasText: 'twice' }).count(),
      1);
  });

  it('opens the gate, and what it used shows', async () => {
    for (let i = 0; i < 3; i++)
      assert.equal(await chat(gate, key.secret), 200);
    await page.goto('/admin/keys');
    await page.getByRole('link', { name: 'legal aid' }).click();
    assert.match(await bodyText(), /, 3 requests/);
    await page.getByRole('link', { name: 'its usage' }).click();
    assert.equal(await h1(), 'Usage');
    const figure = page.locator('.figures div').filter({ hasText: 'Requests' });
    assert.equal(await figure.locator('dd').textContent(), '3');
    await page.getByLabel('Summed by').selectOption('model');
    await press(page, 'Show');
    const row = page.getByRole('row').filter({ hasText: 'gpt-oss-120b' });
    assert.equal(await row.getByRole('cell').first().textContent(), '3');
  });

  it('is edited, with what is wrong said beside its field', async () => {
    await goToKey();
    await page.getByLabel('Label').fill('legal aid, north');
    await page.getByLabel('Requests', { exact: true }).fill('many');
    assert.equal(await press(page, 'Save'), 422);
    const field = page.getByLabel('Requests', { exact: true });
    assert.equal(await field.inputValue(), 'many');
    assert.equal(await page.getByLabel('Label').inputValue(),
      'legal aid, north');
    const says = (await field.getAttribute('aria-describedby')).split(' ')[0];
    assert.match(await page.locator(`#${says}`).textContent(),
      /^Not a whole number/);
    await field.fill('2');
    assert.equal(await press(page, 'Save'), 200);
    assert.match(await notice(), /^Saved/);
    assert.equal(await h1(), 'legal aid, north');
    /* In force at once: three were used in this window. */
    assert.equal(await chat(gate, key.secret), 429);
    await page.getByLabel('Requests', { exact: true }).fill('');
    await press(page, 'Save');
    assert.equal(await chat(gate, key.secret), 200);
  });

  it('is stopped by its budget', async () => {
    await goToKey();
    await page.getByLabel('Budget a month').last().fill('1');
    await press(page, 'Save');
    assert.equal(await chat(gate, key.secret), 429);
    await page.getByLabel('Budget a month').last().fill('');
    await press(page, 'Save');
    assert.equal(await chat(gate, key.secret), 200);
  });

  it('is rotated at once', async () => {
    const old = key.secret;

    await goToKey();
    await page.getByLabel('The old key ends').selectOption('now');
    assert.equal(await press(page, 'Rotate'), 200);
    const secret =
      await page.getByLabel('The key', { exact: true }).inputValue();
    assert.equal(await chat(gate, old), 401);
    assert.equal(await chat(gate, secret), 200);
    await page.getByRole('link', { name: 'legal aid, north' }).click();
    key = { secret, id: new URL(page.url()).searchParams.get('id') };
  });

  it('is refused when disabled, and accepted when enabled', async () => {
    await goToKey();
    await press(page, 'Disable');
    assert.match(await notice(), /^The key is disabled/);
    assert.equal(await chat(gate, key.secret), 401);
    await press(page, 'Enable');
    assert.equal(await chat(gate, key.secret), 200);
  });

  it('is disabled with all others only by the typed words', async () => {
    await page.goto('/admin/keys');
    await page.getByText('Disable all keys now').click();
    await page.getByLabel('Type DISABLE ALL to confirm').fill('yes');
    assert.equal(await press(page, 'Disable all keys'), 422);
    assert.equal(await chat(gate, key.secret), 200);
    await page.getByLabel('Type DISABLE ALL to confirm').fill('DISABLE ALL');
    await press(page, 'Disable all keys');
    assert.equal(await chat(gate, key.secret), 401);
    await press(page, 'Undo: enable them again');
    assert.equal(await chat(gate, key.secret), 200);
  });

  it('ends for good after a tick', async () => {
    await goToKey();
    assert.equal(await press(page, 'Delete', part(page, 'Delete')), 422);
    await page.getByLabel('Yes, delete this key for good').check();
    await press(page, 'Delete', part(page, 'Delete'));
    assert.equal(await chat(gate, key.secret), 401);
    assert.equal((await goToKey()).status(), 404);
  });

  it('shows in the changes, without a secret', async () => {
    await page.goto('/admin/audit');
    const text = await bodyText();
    assert.ok(text.includes(key.id), text);
    assert.ok(!text.includes(key.secret));
  });
});

describe('the session', LIMIT, () => {
  let gate;

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  it('leads a stranger to the login, and on to the page meant', async () => {
    const { context, page } = await openPage(browser, gate);

    await page.goto('/admin/usage');
    assert.match(page.url(), /\/admin\/login\?next=usage$/);
    await page.getByLabel('Admin password').fill(gate.adminPassword);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/admin\/usage$/);
    await context.close();
  });

  it('ends with the log-out, wherever its cookie was kept', async () => {
    const { context, page } = await openPage(browser, gate);

    await logIn(page, gate);
    const [cookie] = await context.cookies(`${gate.baseUrl}/admin`);
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, 'Strict');
    await press(page, 'Log out');
    assert.match(await page.getByRole('status').textContent(), /logged out/);
    assert.deepEqual(await context.cookies(`${gate.baseUrl}/admin`), []);
    await context.addCookies([cookie]);
    await page.goto('/admin/keys');
    assert.match(page.url(), /\/admin\/login\?next=keys$/);
    await context.close();
  });

  it('changes nothing without the token of its form', async () => {
    const { context, page } = await openPage(browser, gate);
    const post = (form, headers) => page.request.post('/admin/key',
      { form, headers, maxRedirects: 0 });

    await logIn(page, gate);
    const { id, secret } = await makeKey(page, 'forged');
    const csrf = await page.locator('form')
      .filter({ has: page.locator('[name=do][value=disable]') })
      .locator('[name=csrf]').inputValue();
    const form = { do: 'disable', id };
    assert.equal((await post(form)).status(), 403);
    assert.equal((await post({ ...form, csrf: `${csrf}x` })).status(), 403);
    assert.equal((await post({ ...form, csrf, do: 'enable' })).status(), 403);
    assert.equal((await post({ ...form, csrf },
      { origin: 'https://elsewhere.example' })).status(), 403);
    assert.equal(await chat(gate, secret), 200);
    /* The same form with its token does it: it was the token that counted. */
    assert.equal((await post({ ...form, csrf })).status(), 303);
    assert.equal(await chat(gate, secret), 401);
    await context.close();
  });

  it('sends no cookie along with a form of another site', async () => {
    const { context, page } = await openPage(browser, gate);

    await logIn(page, gate);
    const { id, secret } = await makeKey(page, 'lured');
    const csrf = await page.locator('form')
      .filter({ has: page.locator('[name=do][value=disable]') })
      .locator('[name=csrf]').inputValue();
    await page.route('http://elsewhere.example/', (route) => route.fulfill({
      contentType: 'text/html', body:
        `<form method=post action="${gate.baseUrl}/admin/key">` +
        `<input name=do value=disable><input name=id value="${id}">` +
        `<input name=csrf value="${csrf}"><button>Win</button></form>` }));
    await page.goto('http://elsewhere.example/');
    assert.equal(await press(page, 'Win'), 403);
    assert.equal(await chat(gate, secret), 200);
    await context.close();
  });

  it('is out of reach after wrong passwords, but lives on', async () => {
    const inside = await openPage(browser, gate);
    const outside = await openPage(browser, gate);

    await logIn(inside.page, gate);
    for (let i = 0; i < 5; i++) {
      await logIn(outside.page, gate, `wrong ${i}`);
      assert.match(await outside.page.locator('main').innerText(),
        /That is not the password/);
    }
    await logIn(outside.page, gate);
    const text = await outside.page.locator('main').innerText();
    assert.match(text, /Too many wrong passwords/);
    assert.match(text, /Try again in [1-5] min/);
    await outside.page.goto('/admin/keys');
    assert.match(outside.page.url(), /\/admin\/login/);
    await inside.page.goto('/admin/keys');
    assert.equal(await inside.page.getByRole('heading', { level: 1 })
      .textContent(), 'Keys');
    await outside.context.close();
    await inside.context.close();
  });
});
