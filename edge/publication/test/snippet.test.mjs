// The snippet in a real browser: the page is one origin, the Worker another, and what arrives is read at the stream.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { until } from "../../commerce/test/doubles.mjs";
import { browser } from "./browser.mjs";
import { SHOP, world } from "./world.mjs";

const SOURCE = new URL("../src/snippet.min.js", import.meta.url);
const BUILD = fileURLToPath(new URL("../../../scripts/build-snippet.sh", import.meta.url));

/** Answers with `respond` on a free port until the test is over; returns the address. */
async function serve(t, respond) {
  const server = createServer(respond);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** A page with one item in view and one far below; `?page=` is its own item. */
async function publisher(t, worker) {
  const address = await serve(t, (request, response) => {
    const page = new URL(request.url, "http://page").searchParams.get("page");
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html><body style="margin:0">
      <script async src="${worker}/v1/snippet.js" data-weir-shop="${SHOP}" data-weir-item="${page}"></script>
      <p id="top" data-weir-item="top" data-weir-placement="hero" style="height:100px;margin:0"><a href="#x">inside</a> <a id="signed" href="${worker}/r/x7?shop=${SHOP}&s=0">signed</a></p>
      <p style="height:5000px">reading</p>
      <p id="bottom" data-weir-item="bottom" data-weir-product="7" style="height:100px;margin:0">below</p>`);
  });
  return (page, query = "") => `${address}/?page=${page}${query}`;
}

test("is a few hundred bytes, and what is served was made from its source", async (t) => {
  const minified = await readFile(SOURCE, "utf8");
  assert.equal(execFileSync("bash", [BUILD, "--print"], { encoding: "utf8" }), minified, "run scripts/build-snippet.sh");
  const compressed = gzipSync(minified, { level: 9 }).length;
  assert.ok(compressed < 800, `${compressed} bytes`);
  const { get } = await world(t);
  const served = await get("/v1/snippet.js");
  assert.match(served.headers.get("content-type"), /^text\/javascript/);
  assert.equal(await served.text(), minified);
});

test("view, impressions as they come into view, a click, and the time on the page", async (t) => {
  const { lake, url } = await world(t);
  const page = await publisher(t, url);
  const { open, evaluate, call } = await browser(t);
  const of = (type) => lake.published.filter(({ event_type }) => event_type === type);

  await open(page("article", "&email=jane@example.com&utm_source=n"));
  await until("view and first impression", () => of("view").length === 1 && of("impression").length === 1);
  const [view] = of("view");
  assert.deepEqual([view.item_id, view.shop_domain, view.is_bot, view.device_class], ["article", SHOP, false, "desktop"]);
  assert.match(view.url, /^http:\/\/127\.0\.0\.1:\d+\/\?utm_source=n$/);
  assert.ok(view.visitor_key);
  assert.deepEqual([of("impression")[0].item_id, of("impression")[0].placement], ["top", "hero"]);

  await evaluate("document.querySelector('#bottom').scrollIntoView()");
  await until("the second impression", () => of("impression").length === 2);
  assert.deepEqual([of("impression")[1].item_id, of("impression")[1].product_id], ["bottom", "7"]);

  await evaluate("scrollTo(0, 0)");
  const { x, y } = await evaluate("(({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2 }))(document.querySelector('#top a').getBoundingClientRect())");
  for (const type of ["mousePressed", "mouseReleased"]) await call("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
  await until("the click", () => of("click").length === 1);
  assert.deepEqual([of("click")[0].item_id, of("click")[0].placement], ["top", "hero"]);
  // Of a signed link the redirect tells; here nobody follows it.
  await evaluate("addEventListener('click', (event) => event.preventDefault()); document.querySelector('#signed').click()");
  await evaluate("document.querySelector('#top a').click()");
  await until("the click after it", () => of("click").length === 2);
  assert.deepEqual(await evaluate("[document.cookie, localStorage.length, sessionStorage.length]"), ["", 0, 0]);

  await open("about:blank");
  await until("the engagement", () => of("engagement").length === 1);
  assert.equal(of("engagement")[0].item_id, "article");
  assert.ok(of("engagement")[0].engaged_seconds > 0);
  assert.equal(of("click").length, 2, "not the one on the signed link");
  assert.equal(of("impression").length, 2, "once per element, also when it comes into view again");
  assert.equal(new Set(lake.published.map(({ event_id }) => event_id)).size, lake.published.length);
  assert.ok(!JSON.stringify(lake.published).includes("jane"));
});

test("a page that is rendered ahead begins when it is seen, and a day is the longest span", async (t) => {
  const { lake, url } = await world(t);
  const page = await publisher(t, url);
  const { open, beforePages, evaluate } = await browser(t);
  const of = (type) => lake.published.filter(({ event_type, item_id }) => event_type === type && item_id === "ahead");
  await beforePages(`
    window.ahead = new URL(location).searchParams.get("page") === "ahead";
    Object.defineProperty(document, "prerendering", { get: () => ahead });
  `);
  await open(page("ahead"));
  assert.equal(await evaluate("performance.getEntriesByName(document.scripts[0].src).length"), 1, "the snippet was loaded");
  // A page that is seen sends meanwhile what it has.
  await open(page("seen"));
  await until("another page's", () => lake.published.some(({ item_id }) => item_id === "seen"));
  assert.deepEqual([of("view"), of("engagement")], [[], []]);

  await open(page("ahead"));
  await evaluate("ahead = false; document.dispatchEvent(new Event('prerenderingchange'))");
  await until("its view", () => of("view").length === 1);
  await evaluate("performance.now = () => 2 * 86_400_000");
  await open("about:blank");
  await until("its engagement", () => of("engagement").length === 1);
  assert.equal(of("engagement")[0].engaged_seconds, 86_400);
});

test("any page may send JSON too, as a beacon with its credentials", async (t) => {
  const { lake, url } = await world(t);
  const page = await publisher(t, url);
  const { open, evaluate } = await browser(t);
  await open(page("article"));
  const event = { event_type: "view", event_key: "own", shop_domain: SHOP, item_id: "own" };
  const type = "application/json";
  await evaluate(`navigator.sendBeacon("${url}/v1/events", new Blob([${JSON.stringify(JSON.stringify([event]))}], { type: "${type}" }))`);
  await until("the beacon", () => lake.published.some(({ item_id }) => item_id === "own"));
  const answer = await evaluate(`fetch("${url}/v1/events", { method: "POST", credentials: "include", headers: { "content-type": "${type}" },
    body: ${JSON.stringify(JSON.stringify([{ ...event, event_key: "other" }]))} }).then((response) => response.json())`);
  assert.equal(answer.accepted, 1);
});

test("a click on a signed link is recorded once, also where the browser has fetched it ahead", async (t) => {
  const { internal, lake, url } = await world(t);
  const purposes = [];
  // Before the Worker, to see what the browser asks.
  const door = await serve(t, async (request, response) => {
    purposes.push(request.headers["sec-purpose"]);
    const { host, connection, ...headers } = request.headers;
    const answer = await fetch(url + request.url, { headers, redirect: "manual" });
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()));
  });
  let link;
  const page = await serve(t, ({ url: path }, response) => {
    const rules = JSON.stringify({ prefetch: [{ source: "list", urls: [link], eagerness: "immediate" }] });
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html>${path === "/goal" ? "goal" : `<script type="speculationrules">${rules}</script><a href="${link}">there</a>`}`);
  });
  const { body } = await internal("links", { body: { shop_domain: SHOP, code: "ahead", url: `${page}/goal` } });
  link = door + body.path;
  const { open, evaluate } = await browser(t);
  await open(`${page}/`);
  await until("what is fetched ahead", () => purposes.some((purpose) => /prefetch/.test(purpose)));
  await evaluate(`document.querySelector("a").click()`);
  await until("the goal", () => evaluate("location.pathname").then((path) => path === "/goal", () => false));
  await until("the click", () => lake.published.length >= 1);
  assert.deepEqual(lake.published.map(({ event_type }) => event_type), ["click"]);
});

test("who does not want to be tracked is not", async (t) => {
  const { lake, url } = await world(t);
  const page = await publisher(t, url);
  const { open, beforePages, evaluate } = await browser(t);
  await beforePages(`
    const wish = new URL(location).searchParams.get("page");
    if (wish === "dnt") Object.defineProperty(navigator, "doNotTrack", { value: "1" });
    if (wish === "gpc") Object.defineProperty(navigator, "globalPrivacyControl", { value: true });
  `);
  for (const wish of ["dnt", "gpc", "none", "last"]) {
    await open(page(wish));
    assert.equal(await evaluate("performance.getEntriesByName(document.scripts[0].src).length"), 1, "the snippet was loaded");
  }
  // Leaving a page sends what it has; so once the third page's has come, the first two have sent nothing.
  await until("the third page", () => lake.published.some(({ event_type, item_id }) => event_type === "engagement" && item_id === "none"));
  const pages = lake.published.map(({ url: address, item_id }) => [address, item_id]).filter(([, item]) => item !== "top");
  assert.ok(pages.every(([, item]) => ["none", "last"].includes(item)), JSON.stringify(pages));
  const impressions = lake.published.filter(({ item_id }) => item_id === "top");
  assert.ok(impressions.length <= 2, "those of the third page and the last");
});
