// A made-up shop for the tests of the sync Worker: whatever the bulk queries select, with ids above 2^53 and letters that
// Shopify escapes. The same for the same arguments.

export const gid = (type, id) => `gid://shopify/${type}/${id}`;
// Above 2^53: a JavaScript number on the way would round them.
const BASE = 9_007_199_254_740_993n;
export const idText = (room, index) => String(BASE + BigInt(room) * 1_000_000_000n + BigInt(index));
export const seconds = (millis) => new Date(Math.floor(millis / 1000) * 1000).toISOString().replace(".000Z", "Z");
const money = (amount, currencyCode = "EUR") => ({ amount, currencyCode });
export const bag = (amount) => ({ shopMoney: money(amount), presentmentMoney: money(amount, "USD") });

/**
 * `count` orders and `count / 4` products, updated evenly over the last `days` before `now` (milliseconds). `linesOf(n)` says
 * how many lines order n has.
 */
export function madeUpShop({ domain = "demo.myshopify.com", now = Date.now(), count = 20, days = 3, linesOf = () => 2, restart = 0 } = {}) {
  const step = (days * 86_400_000) / Math.max(count, 1);
  const at = (index) => seconds(now - 1_200_000 - (count - 1 - index) * step);
  const orders = Array.from({ length: count }, (_, index) => orderNode(restart + index, at(index), linesOf(index)));
  const products = Array.from({ length: Math.ceil(count / 4) }, (_, index) => productNode(restart + index, at(index * 4 < count ? index * 4 : index)));
  return { domain, orders, products };
}

/** An order as the Admin API has it, with `lineCount` lines of one mug each. */
export function orderNode(index, updatedAt, lineCount) {
  const number = idText(1, index);
  const lines = Array.from({ length: lineCount }, (_, line) => lineItem(index, line));
  const amount = `${lineCount * 10}.00`;
  return {
    __typename: "Order",
    id: gid("Order", number),
    legacyResourceId: number,
    name: `#${1000 + index}`,
    number: 1000 + index,
    test: false,
    confirmed: true,
    createdAt: updatedAt,
    processedAt: updatedAt,
    updatedAt,
    cancelledAt: null,
    cancelReason: null,
    closedAt: null,
    currencyCode: "EUR",
    presentmentCurrencyCode: "USD",
    taxesIncluded: true,
    displayFinancialStatus: "PAID",
    displayFulfillmentStatus: "UNFULFILLED",
    returnStatus: "NO_RETURN",
    edited: false,
    sourceName: "web",
    app: { id: gid("App", "580111"), name: "Online Store" },
    customer: { id: gid("Customer", idText(9, index % 7)) },
    customerLocale: "en",
    tags: ["R&D", "<b>"],
    discountCodes: [],
    customAttributes: [],
    paymentGatewayNames: ["bogus"],
    subtotalPriceSet: bag(amount),
    totalPriceSet: bag(amount),
    totalDiscountsSet: bag("0.00"),
    totalTaxSet: bag("0.00"),
    totalShippingPriceSet: bag("0.00"),
    totalTipReceivedSet: bag("0.00"),
    totalRefundedSet: bag("0.00"),
    currentTotalPriceSet: bag(amount),
    transactions: [settled("SALE", idText(5, index), index, amount, updatedAt)],
    refunds: [],
    fulfillments: [],
    lineItems: lines,
    shippingLines: [],
    agreements: [agreement(index, lines, updatedAt)],
    returns: [],
  };
}

const lineItem = (index, line) => ({
  __typename: "LineItem",
  id: gid("LineItem", idText(2, index * 1000 + line)),
  name: "Mug / blue & white",
  title: "Mug",
  variantTitle: "blue & white",
  sku: `MUG/${line}`,
  vendor: "Weir Works",
  quantity: 1,
  currentQuantity: 1,
  refundableQuantity: 1,
  unfulfilledQuantity: 1,
  nonFulfillableQuantity: 0,
  isGiftCard: false,
  requiresShipping: true,
  taxable: true,
  product: { id: gid("Product", idText(3, index % 5)) },
  variant: { id: gid("ProductVariant", idText(4, (index % 5) * 1000)) },
  originalUnitPriceSet: bag("10.00"),
  discountAllocations: [],
  taxLines: [],
});

/** A transaction of Shopify's test gateway that went through. */
export const settled = (kind, id, payment, amount, at) => ({
  id: gid("OrderTransaction", id),
  kind,
  status: "SUCCESS",
  test: false,
  createdAt: at,
  processedAt: at,
  gateway: "bogus",
  errorCode: null,
  paymentId: `p-${payment}`,
  amountSet: bag(amount),
  parentTransaction: null,
});

const agreement = (index, lines, happenedAt) => ({
  __typename: "OrderAgreement",
  id: gid("SalesAgreement", idText(6, index)),
  happenedAt,
  reason: "ORDER",
  sales: lines.map((lineItem, line) => ({
    __typename: "ProductSale",
    id: gid("Sale", idText(7, index * 1000 + line)),
    actionType: "ORDER",
    lineType: "PRODUCT",
    quantity: 1,
    totalAmount: bag("10.00"),
    totalDiscountAmountBeforeTaxes: bag("0.00"),
    totalDiscountAmountAfterTaxes: bag("0.00"),
    totalTaxAmount: bag("0.00"),
    lineItem,
  })),
});

/** A product with one variant. */
export function productNode(index, updatedAt) {
  const number = idText(3, index);
  const variant = idText(4, index * 1000);
  return {
    __typename: "Product",
    id: gid("Product", number),
    legacyResourceId: number,
    handle: `mug-${index}`,
    title: "Mug",
    status: "ACTIVE",
    vendor: "Weir Works",
    productType: "Mugs",
    tags: [],
    isGiftCard: false,
    createdAt: updatedAt,
    updatedAt,
    publishedAt: updatedAt,
    totalInventory: 5,
    tracksInventory: true,
    category: null,
    variants: [
      {
        __typename: "ProductVariant",
        id: gid("ProductVariant", variant),
        legacyResourceId: variant,
        title: "Default",
        sku: null,
        barcode: null,
        position: 1,
        price: "10.00",
        compareAtPrice: null,
        taxable: true,
        inventoryQuantity: 5,
        inventoryPolicy: "DENY",
        createdAt: updatedAt,
        updatedAt,
        inventoryItem: { id: gid("InventoryItem", variant), unitCost: null },
        selectedOptions: [],
      },
    ],
  };
}
