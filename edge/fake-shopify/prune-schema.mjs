// Cuts the full Admin schema down to what documents name, for schema.graphql:
//
//   node edge/fake-shopify/prune-schema.mjs admin_2026-10.json domain/src/shopify/queries/*.graphql edge/sync/graphql/*.graphql \
//     --also=QueryRoot.order --also=QueryRoot.product --also={Order,Product}Connection.nodes --also=Order.retailLocation --also=Location.id \
//     --also={LineItem,ProductVariant,Return,ReturnLineItemType,Sale,SalesAgreement,ShippingLine}Connection.pageInfo > edge/fake-shopify/schema.graphql
//
// The introspection is in the npm package @shopify/dev-mcp (dist/data/admin_2026-10.json.gz, ISC licence beside the result).
// Kept: every field that a document selects with all its arguments, whole enums and input types, and each type that
// implements an interface that is selected. `--also Type.field` keeps a field that is asked for in a computed document.
// `@access` says which scopes open a type, a field or a topic, one of them is enough: Shopify writes that beside the
// introspection (`requiredAccess`), and for topics into their descriptions.

import { readFile } from "node:fs/promises";
import * as graphql from "graphql";

const [introspection, ...rest] = process.argv.slice(2);
const also = rest.filter((name) => name.startsWith("--also=")).map((name) => name.slice(7).split("."));
const files = rest.filter((name) => !name.startsWith("--"));
const { data } = JSON.parse(await readFile(introspection, "utf8"));
const full = graphql.buildClientSchema(data);
// As it comes: graphql-js drops what is not of the standard.
const raw = new Map(data.__schema.types.map((type) => [type.name, type]));

/** The directive for what Shopify says of the scopes, empty where it says nothing of any. */
function access(text) {
  const scopes = (text ?? "").match(/\b(read|write)_\w+/g) ?? [];
  return scopes.length ? ` @access(anyOf: ${JSON.stringify([...new Set(scopes)])})` : "";
}
const accessOfField = (type, name) => access(raw.get(type).fields?.find((field) => field.name === name)?.requiredAccess);
const accessOfTopic = (value) => access(/Requires [^]*/.exec(value.description ?? "")?.[0]);

const kept = new Map(); // type name -> set of field names, or null for a type that is kept whole
const keep = (type, field) => {
  if (!kept.has(type.name)) kept.set(type.name, field === undefined ? null : new Set());
  if (field !== undefined) kept.get(type.name)?.add(field);
};

function keepInput(type) {
  const named = graphql.getNamedType(type);
  if (kept.has(named.name) || graphql.isSpecifiedScalarType(named)) return;
  keep(named);
  if (graphql.isInputObjectType(named)) for (const field of Object.values(named.getFields())) keepInput(field.type);
}

function keepField(parent, name) {
  const field = parent.getFields()[name];
  if (!field) throw new Error(`${parent.name} has no field ${name}`);
  keep(parent, name);
  for (const argument of field.args) keepInput(argument.type);
  const type = graphql.getNamedType(field.type);
  if (graphql.isLeafType(type)) keepInput(type);
  else if (!kept.has(type.name)) kept.set(type.name, new Set());
  // Everything at Shopify is a Node: only what is kept anyway remains one.
  if (graphql.isInterfaceType(parent) && parent.name !== "Node") for (const one of full.getPossibleTypes(parent)) keepField(one, name);
  return type;
}

for (const file of files) {
  const document = graphql.parse(await readFile(file, "utf8"));
  const info = new graphql.TypeInfo(full);
  graphql.visit(
    document,
    graphql.visitWithTypeInfo(info, {
      Field(node) {
        const parent = info.getParentType();
        if (node.name.value !== "__typename") keepField(parent, node.name.value);
      },
      Variable() {
        if (info.getInputType()) keepInput(info.getInputType());
      },
    }),
  );
}
for (const [type, field] of also) keepField(full.getType(type), field);

/** Input objects keep only the fields that are sent and need no further type: the API has dozens more. */
function printed(type) {
  const fields = kept.get(type.name);
  if (graphql.isScalarType(type)) return `scalar ${type.name}`;
  if (graphql.isEnumType(type)) {
    const isTopic = type.name === "WebhookSubscriptionTopic";
    return `enum ${type.name} { ${type.getValues().map((value) => value.name + (isTopic ? accessOfTopic(value) : "")).join(" ")} }`;
  }
  const parent = type.name;
  const line = ({ name, args = [], type, defaultValue }) => {
    const list = args.map((argument) => `${argument.name}: ${argument.type}${defaulted(argument)}`).join(", ");
    return `  ${name}${list ? `(${list})` : ""}: ${type}${defaulted({ type, defaultValue })}${accessOfField(parent, name)}`;
  };
  const has = (name) => fields === null || fields.has(name);
  const all = Object.values(type.getFields()).filter(({ name }) => has(name));
  const word = graphql.isInputObjectType(type) ? "input" : graphql.isInterfaceType(type) ? "interface" : "type";
  const isKept = ({ name }) => kept.get(name)?.size > 0 && [...kept.get(name)].every(has);
  const interfaces = (type.getInterfaces?.() ?? []).filter(isKept);
  const heads = interfaces.length ? ` implements ${interfaces.map(({ name }) => name).join(" & ")}` : "";
  return `${word} ${type.name}${heads}${access(raw.get(type.name).requiredAccess)} {\n${all.map(line).join("\n")}\n}`;
}

function defaulted({ type, defaultValue }) {
  return defaultValue === undefined ? "" : ` = ${graphql.print(graphql.astFromValue(defaultValue, type))}`;
}

console.log("# Pruned by prune-schema.mjs from the Admin API 2026-10 introspection in @shopify/dev-mcp 1.16.0 (LICENSE-dev-mcp-ISC).");
console.log("directive @access(anyOf: [String!]!) on OBJECT | INTERFACE | FIELD_DEFINITION | ENUM_VALUE");
console.log(`schema { query: ${full.getQueryType().name} mutation: ${full.getMutationType().name} }`);
for (const name of [...kept.keys()].sort()) {
  const type = full.getType(name);
  if (!graphql.isSpecifiedScalarType(type)) console.log(printed(type));
}
