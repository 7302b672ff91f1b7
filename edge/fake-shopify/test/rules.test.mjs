// The fake refuses what Shopify refuses, in Shopify's words (recorded on API 2026-04), and our own operations are valid.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { buildSchema, parse, validate } from "graphql";
import { denied, mayHear } from "../access.mjs";
import { fakeShopify } from "../shopify.mjs";
import { complaints } from "../rules.mjs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const schema = buildSchema(read("../schema.graphql"));
const nest = (...names) => names.reduceRight((inner, name) => `${name} { edges { node { id ${inner} } } }`, "");

test("our bulk queries keep every rule, and every document of ours is valid on the Admin API", () => {
  const bulk = new URL("../../../domain/src/shopify/queries/", import.meta.url);
  for (const file of readdirSync(bulk)) assert.deepEqual(complaints(schema, readFileSync(new URL(file, bulk), "utf8")), [], file);
  assert.deepEqual(validate(schema, parse(read("../../sync/graphql/admin.graphql"))), []);
});

/** The scopes that docs/deploy.md names before `words`. */
function documented(words) {
  const [, list] = new RegExp(`((?:\`\\w+\`,?\\s+)+)\\(${words}`).exec(read("../../../docs/deploy.md"));
  return list.match(/\w+/g);
}

test("the scopes that docs/deploy.md calls necessary open all that is asked, and each of them is", () => {
  const bulk = new URL("../../../domain/src/shopify/queries/", import.meta.url);
  const documents = [...readdirSync(bulk).map((file) => readFileSync(new URL(file, bulk), "utf8")), read("../../sync/graphql/admin.graphql")];
  const closed = (scopes) => documents.flatMap((document) => denied(schema, parse(document), scopes));
  const necessary = documented("without one of these");
  assert.deepEqual(closed(necessary), []);
  for (const scope of necessary) assert.notDeepEqual(closed(necessary.filter((other) => other !== scope)), [], scope);
  const webhooks = [...necessary, ...documented("webhooks only"), "read_customer_merge"];
  for (const topic of ["ORDERS_CREATE", "FULFILLMENTS_CREATE", "RETURNS_REQUEST", "PRODUCTS_UPDATE", "CUSTOMERS_UPDATE", "CUSTOMERS_MERGE", "APP_UNINSTALLED"]) {
    assert.ok(mayHear(schema, topic, webhooks), topic);
  }
  assert.ok(!mayHear(schema, "CUSTOMERS_MERGE", ["read_customers"]) && !mayHear(schema, "FULFILLMENTS_CREATE", ["read_orders"]));
});

test("what an app has no scope for is refused: in an operation when it runs, in a call at once", async (t) => {
  const domain = "demo.myshopify.com";
  const fake = await fakeShopify([{ domain, token: "T", scopes: ["read_orders", "write_products"] }]);
  t.after(fake.stop);
  const { operations } = fake.shops[domain];
  const run = async (query) => {
    const { id } = operations.run({ query }).bulkOperation;
    while (["CREATED", "RUNNING"].includes(operations.find(id).status)) await new Promise((resolve) => setTimeout(resolve, 5));
    return [operations.find(id).status, operations.find(id).errorCode, operations.find(id).url];
  };
  const orders = (selected) => `{ orders { edges { node { id ${selected} } } } }`;
  assert.deepEqual(await run(orders("lineItems { edges { node { id product { id } } } }")), ["COMPLETED", null, null]);
  assert.deepEqual(await run(orders("retailLocation { id }")), ["FAILED", "ACCESS_DENIED", null]);
  assert.deepEqual(await run(orders("customer { id }")), ["FAILED", "ACCESS_DENIED", null]);
  const response = await fetch(`${fake.url}/shops/${domain}/admin/api/2026-10/graphql.json`, {
    method: "POST",
    headers: { "x-shopify-access-token": "T" },
    body: JSON.stringify({ query: '{ order(id: "gid://shopify/Order/1") { customer { id } } }' }),
  });
  const { data, errors } = await response.json();
  assert.deepEqual([data, errors[0].extensions.code], [null, "ACCESS_DENIED"]);
  assert.equal(errors[0].message, "Access denied for customer field. Required access: `read_customers` access scope.");
});

test("each broken rule is refused with the recorded message", () => {
  const only = (query, message) => assert.deepEqual(complaints(schema, query), [message]);
  const invalid = "Selecting via 'nodes' is not supported. Invalid connection fields:";
  const byEdges = "All connection fields in a bulk query must select their contents using 'edges' > 'node', e.g: 'products { edges { node {'.";
  only("{ products { nodes { id title } } }", `${byEdges} ${invalid} 'products'.`);
  only("{ orders { nodes { id } } }", `${byEdges} ${invalid} 'orders'.`);
  assert.deepEqual(complaints(schema, '{ node(id: "gid://shopify/Product/0") { id } }'), [
    "Bulk queries cannot contain a top level `node` field.",
    "Bulk queries must contain at least one connection.",
  ]);
  only(`{ ${nest("collections", "products", "variants", "metafields")} }`, "Bulk queries cannot contain connections with a nesting depth greater than 2.");
  const five = ["variants", "metafields", "collections", "media", "sellingPlanGroups"].map((name) => nest(name)).join(" ");
  only(`{ products { edges { node { id ${five} } } } }`, "Bulk queries cannot contain more than 5 connections.");
  only(
    `{ products { edges { node { title ${nest("variants")} } } } }`,
    "The parent 'node' field for a nested connection must select the 'id' field without an alias and must be of 'ID' return type. Connection fields without 'id': products.",
  );
  only(`mutation { productCreate(input: { title: "x" }) { product { id } } }`, "Invalid operation type. Only `query` operations are supported.");
  only(
    "{ orders { edges { node { id fulfillments { events { edges { node { id } } } } } } } }",
    "Queries that contain a connection field within a list field are not currently supported.",
  );
  only("{ shop { id } }", "Bulk queries must contain at least one connection.");
  only("", "Invalid bulk query: syntax error, unexpected end of file");
});

test("the sixth operation is refused, naming the five", async (t) => {
  const domain = "demo.myshopify.com";
  const fake = await fakeShopify([{ domain, token: "T" }]);
  t.after(fake.stop);
  const { operations } = fake.shops[domain];
  const five = Array.from({ length: 5 }, () => operations.add("{ products { edges { node { id } } } }", { status: "RUNNING" }).id);
  const answer = operations.run({ query: "{ products { edges { node { id } } } }" });
  const message = `A bulk query operation for this app and shop is already in progress: ${five.join(", ")}.`;
  assert.deepEqual(answer, { bulkOperation: null, userErrors: [{ field: null, message, code: "OPERATION_IN_PROGRESS" }] });
});

test("an operation that is cancelled ends as that, also before it has begun to run", async (t) => {
  const domain = "demo.myshopify.com";
  const product = { __typename: "Product", id: "gid://shopify/Product/1" };
  const fake = await fakeShopify([{ domain, token: "T", data: { orders: [], products: [product] } }]);
  t.after(fake.stop);
  const { operations } = fake.shops[domain];
  const started = () => operations.run({ query: "{ products { edges { node { id } } } }" }).bulkOperation;
  const waiting = started();
  assert.equal(operations.cancel(waiting).bulkOperation.status, "CANCELING");
  const running = started();
  while (running.status === "CREATED") await new Promise((resolve) => setTimeout(resolve, 1));
  operations.cancel(running);
  while (operations.running().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual([waiting, running].map(({ status, url }) => [status, url]), [["CANCELED", null], ["CANCELED", null]]);
});

test("a result has the shape and the escapes of a recorded one", async (t) => {
  const domain = "demo.myshopify.com";
  const product = {
    __typename: "Product",
    id: "gid://shopify/Product/10243914727730",
    title: "Salt & pepper",
    updatedAt: "2026-11-24T10:00:00Z",
    variants: [{ __typename: "ProductVariant", id: "gid://shopify/ProductVariant/51487966167346", title: "Default Title", sku: null }],
  };
  const fake = await fakeShopify([{ domain, token: "T", data: { orders: [], products: [product] } }]);
  t.after(fake.stop);
  const call = async (query) => {
    const response = await fetch(`${fake.url}/shops/${domain}/admin/api/2026-10/graphql.json`, {
      method: "POST",
      headers: { "x-shopify-access-token": "T" },
      body: JSON.stringify({ query }),
    });
    return (await response.json()).data;
  };
  const query = "{ products { edges { node { id title variants { edges { node { id title sku } } } } } } }";
  const { bulkOperationRunQuery } = await call(`mutation { bulkOperationRunQuery(query: "${query}") { bulkOperation { id status objectCount } userErrors { code } } }`);
  assert.deepEqual([bulkOperationRunQuery.bulkOperation.status, bulkOperationRunQuery.bulkOperation.objectCount], ["CREATED", "0"]);
  let operation;
  do {
    const id = bulkOperationRunQuery.bulkOperation.id;
    operation = (await call(`{ bulkOperation(id: "${id}") { status objectCount rootObjectCount fileSize url partialDataUrl } }`)).bulkOperation;
  } while (operation.status !== "COMPLETED");
  const text = await (await fetch(operation.url)).text();
  assert.equal(
    text,
    String.raw`{"id":"gid:\/\/shopify\/Product\/10243914727730","title":"Salt \u0026 pepper"}` +
      "\n" +
      String.raw`{"id":"gid:\/\/shopify\/ProductVariant\/51487966167346","title":"Default Title","sku":null,"__parentId":"gid:\/\/shopify\/Product\/10243914727730"}` +
      "\n",
  );
  assert.deepEqual([operation.objectCount, operation.rootObjectCount, operation.fileSize], ["2", "1", String(text.length)]);
});
