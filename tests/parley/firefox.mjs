/** The page in Firefox, over WebDriver BiDi: node firefox.mjs ADDRESS USER. What puppeteer-core is missing from is skipped. */

import {createRequire} from 'node:module';
import {resolve} from 'node:path';

const require = createRequire(resolve('target/npm-firefox/node_modules/'));
const puppeteer = require('puppeteer-core');
const [address, user] = process.argv.slice(2);
const extraPrefsFirefox = { // one process for pages, few frames: the machine has more to do
  'dom.ipc.processCount': 1, 'dom.ipc.processPrelaunch.enabled': false, 'fission.autostart': false, 'layout.frame_rate': 20,
};
const browser = await puppeteer.launch({
  browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true, extraPrefsFirefox,
});

async function flow(page) {
  const faults = [];
  page.on('pageerror', error => faults.push(error.message));
  page.on('console', message => message.type() === 'error' && faults.push(message.text()));
  await page.setViewport({width: 1280, height: 800});
  await page.goto(`${address}?user_id=${user}`);
  await page.waitForSelector('#empty');
  await say(page, 'my cat is old');
  await page.waitForSelector('.said.model.kept');
  await say(page, 'write a long story');
  await page.waitForSelector('.writing .text h2');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.bad.calm');
  await say(page, '/image a red boat');
  await page.waitForSelector('figure img');
  await page.$eval('.said.model.kept', reply => { reply.id = 'old'; });
  await page.click('.model [data-act=retry]');
  await page.waitForFunction(() => !document.querySelector('#old, .writing'));
  await page.reload();
  await page.waitForSelector('.said.model.kept');
  const said = await page.$$eval('.said.user .text', all => all.map(each => each.textContent));
  const centres = await page.evaluate(() => ['flow', 'box'].map(id => {
    const {left, right} = document.getElementById(id).getBoundingClientRect();
    return Math.round(left + right);
  }));
  return {said, aligned: centres[0] === centres[1], faults};
}

async function say(page, words) {
  await page.type('#text', words);
  await page.keyboard.press('Enter');
}

try {
  console.log(JSON.stringify(await flow(await browser.newPage())));
} finally {
  await browser.close();
}
