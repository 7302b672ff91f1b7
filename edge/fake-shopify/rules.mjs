// What bulkOperationRunQuery accepts, with the messages that Shopify answers otherwise (recorded on API 2026-04).

import * as graphql from "graphql";

const MAX_CONNECTIONS = 5;
const MAX_DEPTH = 2;

/** The messages of all rules that `query` breaks, in Shopify's order; none when it may run. */
export function complaints(schema, query) {
  let document;
  try {
    document = graphql.parse(query);
  } catch (error) {
    const what = query.trim() === "" ? "unexpected end of file" : error.message.replace(/^Syntax Error: /, "");
    return [`Invalid bulk query: syntax error, ${what}`];
  }
  const operation = document.definitions.find(({ kind }) => kind === "OperationDefinition");
  if (operation.operation !== "query") return ["Invalid operation type. Only `query` operations are supported."];
  const found = connections(schema, document);
  const broken = [];
  if (topLevel(operation).includes("node")) broken.push("Bulk queries cannot contain a top level `node` field.");
  if (found.length === 0) broken.push("Bulk queries must contain at least one connection.");
  if (found.some(({ inList }) => inList)) {
    broken.push("Queries that contain a connection field within a list field are not currently supported.");
  }
  if (found.some(({ depth }) => depth > MAX_DEPTH)) {
    broken.push(`Bulk queries cannot contain connections with a nesting depth greater than ${MAX_DEPTH}.`);
  }
  if (found.length > MAX_CONNECTIONS) broken.push(`Bulk queries cannot contain more than ${MAX_CONNECTIONS} connections.`);
  const byNodes = names(found.filter(({ usesNodes }) => usesNodes));
  if (byNodes) {
    broken.push(
      "All connection fields in a bulk query must select their contents using 'edges' > 'node', e.g: " +
        `'products { edges { node {'. Selecting via 'nodes' is not supported. Invalid connection fields: ${byNodes}.`,
    );
  }
  const anonymous = names(found.filter(({ isParent, hasId }) => isParent && !hasId), "");
  if (anonymous) {
    broken.push(
      "The parent 'node' field for a nested connection must select the 'id' field without an alias and must be of 'ID' " +
        `return type. Connection fields without 'id': ${anonymous}.`,
    );
  }
  return broken.length > 0 ? broken : graphql.validate(schema, document).map(({ message }) => message);
}

const topLevel = (operation) => operation.selectionSet.selections.map(({ name }) => name?.value);
const names = (found, quote = "'") => found.map(({ name }) => quote + name + quote).join(", ");
const fields = (node) => node?.selectionSet?.selections.filter(({ kind }) => kind === "Field") ?? [];
const child = (node, name) => fields(node).find((field) => field.name.value === name);

/** Every connection of the document: a field that is read by edges or by nodes. */
function connections(schema, document) {
  const info = new graphql.TypeInfo(schema);
  const found = [];
  const open = [];
  let lists = 0;
  const isList = () => graphql.isListType(graphql.getNullableType(info.getType()));
  const Field = {
    enter(field) {
      const usesNodes = child(field, "nodes") !== undefined;
      if (usesNodes || child(field, "edges")) {
        const node = child(child(field, "edges"), "node") ?? child(field, "nodes");
        if (open.length > 0) open.at(-1).isParent = true;
        const hasId = fields(node).some(({ name, alias }) => name.value === "id" && !alias);
        const one = { name: field.name.value, field, usesNodes, hasId, depth: open.length, inList: lists > 0 };
        found.push(one);
        open.push(one);
      } else if (field.name.value !== "edges" && isList()) {
        lists += 1;
      }
    },
    leave(field) {
      if (open.at(-1)?.field === field) open.pop();
      else if (field.name.value !== "edges" && field.name.value !== "nodes" && isList()) lists -= 1;
    },
  };
  graphql.visit(document, graphql.visitWithTypeInfo(info, { Field }));
  return found;
}
