// Runs documents over the shop's data with graphql-js: ordinary ones, page by page, and bulk ones, as JSONL.

import * as graphql from "graphql";
import { denied, refusal } from "./access.mjs";

const cursorOf = (index) => Buffer.from(`at ${index}`).toString("base64");
const indexOf = (cursor) => (cursor ? Number(Buffer.from(cursor, "base64").toString().slice(3)) + 1 : 0);

/** The part of `rows` that `{first, after}` asks for, as a connection. */
function page(rows, { first, after } = {}) {
  const start = indexOf(after);
  const end = Math.min(rows.length, start + (first ?? rows.length));
  const edges = rows.slice(start, end).map((node, offset) => ({ node, cursor: cursorOf(start + offset) }));
  return { edges, nodes: edges.map(({ node }) => node), pageInfo: { hasNextPage: end < rows.length, endCursor: edges.at(-1)?.cursor ?? null } };
}

/** Shopify's search syntax, as far as `updated_at:>='...' created_at:<'...'` goes. */
export function matches(search, row) {
  for (const [, field, comparator, time] of (search ?? "").matchAll(/(updated|created)_at:(>=|<)'([^']+)'/g)) {
    const at = Date.parse(row[`${field}At`]);
    if (comparator === ">=" ? at < Date.parse(time) : at >= Date.parse(time)) return false;
  }
  return true;
}

function execute(schema, document, rootValue, variableValues, operationName, cutAt) {
  const fieldResolver = (source, args, context, info) => {
    let value = source[info.fieldName];
    if (typeof value === "function") value = value.call(source, args, context, info);
    if (!Array.isArray(value) || !graphql.getNamedType(info.returnType).name.endsWith("Connection")) return value;
    return page(cutAt === undefined ? value : value.slice(0, info.path.prev ? cutAt : undefined), args);
  };
  const typeResolver = (value) => value.__typename;
  return graphql.execute({ schema, document, rootValue, variableValues, operationName, fieldResolver, typeResolver });
}

/** An ordinary call of an app with the scopes `granted`: `{data?, errors?}`. */
export async function answer(schema, { query, variables, operationName }, rootValue, granted) {
  let document;
  try {
    document = graphql.parse(query ?? "");
  } catch (error) {
    return { errors: [{ message: error.message }] };
  }
  const errors = graphql.validate(schema, document);
  if (errors.length > 0) return { errors: errors.map(({ message }) => ({ message })) };
  const operation = graphql.getOperationAST(document, operationName);
  const refused = operation ? denied(schema, operation, granted) : [];
  if (refused.length > 0) return { data: null, errors: refused.map(refusal) };
  return execute(schema, document, rootValue, variables, operationName);
}

/**
 * The lines of a bulk query over `{orders, products}`: each node after its parent. A nested connection has at most `cutAt`
 * nodes of each parent.
 */
export async function bulkLines(schema, query, data, cutAt) {
  const search = (rows) => ({ query: text }) => rows.filter((row) => matches(text, row));
  const root = { orders: search(data.orders), products: search(data.products) };
  const { data: result, errors } = await execute(schema, graphql.parse(query), root, {}, undefined, cutAt);
  if (errors) throw new Error(`the fake shop has no answer: ${errors[0].message} at ${errors[0].path?.join(".")}`);
  const lines = [];
  for (const connection of Object.values(result)) walk(connection, null, lines);
  return lines;
}

function walk({ edges }, parentId, lines) {
  for (const { node } of edges) {
    const own = {};
    const nested = [];
    for (const [name, value] of Object.entries(node)) {
      if (value?.edges) nested.push(value);
      else own[name] = value;
    }
    if (parentId !== null) own.__parentId = parentId;
    lines.push(own);
    for (const connection of nested) walk(connection, node.id, lines);
  }
}

/** A line as Shopify writes it: `\/` and `\u0026`. */
export function lineText(line) {
  const escapes = { "/": "\\/", "&": "\\u0026", "<": "\\u003c", ">": "\\u003e" };
  return JSON.stringify(line).replace(/[/&<>]/g, (letter) => escapes[letter]);
}
