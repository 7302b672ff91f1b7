// Webhook bodies from what the Admin API says of the same shop: the nodes of its data, as REST writes them. Whatever only
// webhooks tell (lines of a refund, of an edit) lies in fields of the nodes that no query asks for.

const raw = (digits) => JSON.rawJSON(String(digits)); // ids above 2^53, digit for digit
const number = (gid) => gid.split("/").pop();
const idOf = (node) => (node ? raw(number(node.id)) : null);
const lower = (text) => text?.toLowerCase() ?? null;
const money = ({ amount, currencyCode }) => ({ amount, currency_code: currencyCode });
const set = ({ shopMoney, presentmentMoney }) => ({ shop_money: money(shopMoney), presentment_money: money(presentmentMoney) });
const FULFILLMENT = { FULFILLED: "fulfilled", PARTIALLY_FULFILLED: "partial", RESTOCKED: "restocked" };

/** Body of orders/*, as the order is now. */
export function orderBody(order) {
  return {
    id: idOf(order),
    admin_graphql_api_id: order.id,
    name: order.name,
    order_number: order.number,
    test: order.test,
    confirmed: order.confirmed,
    created_at: order.createdAt,
    processed_at: order.processedAt,
    updated_at: order.updatedAt,
    cancelled_at: order.cancelledAt,
    closed_at: order.closedAt,
    currency: order.currencyCode,
    presentment_currency: order.presentmentCurrencyCode,
    taxes_included: order.taxesIncluded,
    financial_status: lower(order.displayFinancialStatus),
    fulfillment_status: FULFILLMENT[order.displayFulfillmentStatus] ?? null,
    source_name: order.sourceName,
    customer: order.customer && { id: idOf(order.customer), email: "buyer@example.com", first_name: "Bea" },
    customer_locale: order.customerLocale,
    note_attributes: order.customAttributes.map(({ key, value }) => ({ name: key, value })),
    payment_gateway_names: order.paymentGatewayNames,
    total_price: order.totalPriceSet.shopMoney.amount,
    total_price_set: set(order.totalPriceSet),
    line_items: order.lineItems.map(lineBody),
    shipping_lines: [],
    refunds: order.refunds.map((refund) => refundBody(order, refund)),
    fulfillments: order.fulfillments.map((shipment) => fulfillmentBody(order, shipment)),
  };
}

const lineBody = (line) => ({
  id: idOf(line),
  product_id: idOf(line.product),
  variant_id: idOf(line.variant),
  title: line.title,
  name: line.name,
  sku: line.sku,
  vendor: line.vendor,
  gift_card: line.isGiftCard,
  quantity: line.quantity,
  current_quantity: line.currentQuantity,
  price: line.originalUnitPriceSet.shopMoney.amount,
  price_set: set(line.originalUnitPriceSet),
  discount_allocations: line.discountAllocations.map(({ allocatedAmountSet }) => ({
    amount: allocatedAmountSet.shopMoney.amount,
    amount_set: set(allocatedAmountSet),
    discount_application_index: 0,
  })),
  tax_lines: [],
});

/** Body of refunds/create. Shopify writes a line's subtotal as a number, and every *_set as text. */
export const refundBody = (order, refund) => ({
  id: idOf(refund),
  order_id: idOf(order),
  created_at: refund.createdAt,
  processed_at: refund.processedAt,
  restock: true,
  order_adjustments: [],
  refund_line_items: refund.lines.map(({ id, line, quantity, worth }) => ({
    id: raw(id),
    line_item_id: idOf(line),
    quantity,
    restock_type: "return",
    subtotal: raw(worth.shopMoney.amount),
    total_tax: 0,
    subtotal_set: set(worth),
    total_tax_set: set(zero(worth)),
  })),
  transactions: [paymentBody(order, refund.transaction)],
});

const zero = ({ shopMoney, presentmentMoney }) => ({
  shopMoney: { ...shopMoney, amount: "0.00" },
  presentmentMoney: { ...presentmentMoney, amount: "0.00" },
});

/** Body of order_transactions/create: in the currency that was paid in. */
export const paymentBody = (order, payment) => ({
  id: idOf(payment),
  order_id: idOf(order),
  kind: lower(payment.kind),
  status: lower(payment.status),
  test: payment.test,
  gateway: payment.gateway,
  amount: payment.amountSet.presentmentMoney.amount,
  currency: payment.amountSet.presentmentMoney.currencyCode,
  created_at: payment.createdAt,
  processed_at: payment.processedAt,
  parent_id: idOf(payment.parentTransaction),
  payment_id: payment.paymentId,
});

/** Body of fulfillments/*. */
export const fulfillmentBody = (order, shipment) => ({
  id: idOf(shipment),
  order_id: idOf(order),
  name: shipment.name,
  status: lower(shipment.status),
  created_at: shipment.createdAt,
  updated_at: shipment.updatedAt,
  tracking_company: shipment.trackingInfo[0]?.company ?? null,
  line_items: order.lineItems.map((line) => ({ id: idOf(line), quantity: line.quantity })),
});

/** Body of orders/edited. */
export const editBody = (order, { id, committedAt, additions, removals }) => ({
  order_edit: {
    id: raw(id),
    order_id: idOf(order),
    committed_at: committedAt,
    line_items: {
      additions: additions.map(({ line, delta }) => ({ id: idOf(line), delta })),
      removals: removals.map(({ line, delta }) => ({ id: idOf(line), delta })),
    },
  },
});

/** Body of returns/request and its like. */
export const returnBody = (order, returned) => ({
  id: idOf(returned),
  order: { id: idOf(order) },
  name: returned.name,
  status: lower(returned.status),
});

/** Body of products/create and products/update. */
export const productBody = (product) => ({
  id: idOf(product),
  admin_graphql_api_id: product.id,
  title: product.title,
  handle: product.handle,
  vendor: product.vendor,
  product_type: product.productType,
  status: lower(product.status),
  created_at: product.createdAt,
  updated_at: product.updatedAt,
  published_at: product.publishedAt,
  variants: product.variants.map((variant) => ({
    id: idOf(variant),
    product_id: idOf(product),
    title: variant.title,
    sku: variant.sku,
    price: variant.price,
  })),
});

/** Body of orders/delete and products/delete. */
export const deletedBody = (node) => ({ id: idOf(node) });

/** Body of bulk_operations/finish. */
export const finishedBody = (operation) => ({
  admin_graphql_api_id: operation.id,
  completed_at: operation.completedAt,
  created_at: operation.createdAt,
  error_code: lower(operation.errorCode),
  status: lower(operation.status),
  type: "query",
});
