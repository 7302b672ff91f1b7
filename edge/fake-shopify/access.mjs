// Which scopes a document needs, by what the schema says of the types and fields that it selects (`@access`), and what Shopify
// answers without them. By the selection, not by the rows: a scope that only a rare row needs is missed at once.

import * as graphql from "graphql";

/** Whether one of `anyOf` is among the scopes that are `granted`. A scope to write includes the one to read. */
export const opens = (granted, anyOf) => anyOf.some((scope) => granted.includes(scope) || granted.includes(scope.replace(/^read_/, "write_")));

/** The scopes that `node` of the schema (a type, a field or a value) asks for, one of which is enough; null when it asks for none. */
function asked(schema, node) {
  const directive = node?.astNode && graphql.getDirectiveValues(schema.getDirective("access"), node.astNode);
  return directive?.anyOf ?? null;
}

/** What `document` selects and the scopes `granted` do not open: `[{ field, anyOf }]`, each field once. */
export function denied(schema, document, granted) {
  const info = new graphql.TypeInfo(schema);
  const found = new Map();
  const look = (name, node) => {
    const anyOf = asked(schema, node);
    if (anyOf && !opens(granted, anyOf)) found.set(name, { field: name, anyOf });
  };
  const visitor = {
    Field(field) {
      look(field.name.value, info.getFieldDef());
      look(field.name.value, graphql.getNamedType(info.getType()));
    },
    InlineFragment(fragment) {
      look(fragment.typeCondition?.name.value, graphql.getNamedType(info.getType()));
    },
  };
  graphql.visit(document, graphql.visitWithTypeInfo(info, visitor));
  return [...found.values()];
}

/** The error of an ordinary call that selects `field`, in Shopify's words. */
export function refusal({ field, anyOf }) {
  const requiredAccess = anyOf.map((scope) => `\`${scope}\` access scope`).join(" or ");
  const documentation = "https://shopify.dev/api/usage/access-scopes";
  return {
    message: `Access denied for ${field} field. Required access: ${requiredAccess}.`,
    extensions: { code: "ACCESS_DENIED", documentation, requiredAccess },
    path: [field],
  };
}

/** Whether the scopes `granted` allow a subscription to `topic`, a value of the schema's enumeration. */
export function mayHear(schema, topic, granted) {
  const anyOf = asked(schema, schema.getType("WebhookSubscriptionTopic").getValue(topic));
  return !anyOf || opens(granted, anyOf);
}
