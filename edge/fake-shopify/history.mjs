// A shop's life: what happens in it changes what the Admin API says and is told as the webhooks that Shopify fires, so that
// both tell of the same shop. The same for the same seed.

import { bag, gid, idText, orderNode, productNode, seconds, settled } from "./shop.mjs";
import * as bodies from "./bodies.mjs";

const HOUR = 3_600_000;
const PRICES = [1000, 750, 330]; // cents
const UNIT_DISCOUNT = 10; // cents; a multiple of units, so that every share of it is whole
const text = (cents) => `${cents < 0 ? "-" : ""}${Math.floor(Math.abs(cents) / 100)}.${String(Math.abs(cents) % 100).padStart(2, "0")}`;

/** The shop while it lives. `shop`: a FakeShopify, or anything with `data`, `deleted` and `tell(topic, body, at)`. */
export class Shopkeeper {
  #serial = 0;

  constructor(shop, { seed = 1, start = Date.now() - 20 * 24 * HOUR } = {}) {
    this.shop = shop;
    this.state = seed;
    this.now = Math.floor(start / 1000) * 1000;
  }

  /** A number from 0 on, below `limit`: mulberry32, small and the same everywhere. */
  below(limit) {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  #id(room) {
    this.#serial += 1;
    return idText(room, 500_000 + this.#serial);
  }

  /** Time goes on by some minutes or hours; in whole seconds, as Shopify's. */
  later(minutes = 7) {
    this.now += minutes * 60_000;
    return seconds(this.now);
  }

  #tell(topic, body) {
    this.shop.tell(topic, body, new Date(this.now).toISOString());
  }

  #changed(order, topic) {
    order.updatedAt = seconds(this.now);
    this.#tell(topic, bodies.orderBody(order));
  }

  createProduct(index) {
    const product = productNode(index, this.later());
    product.title = `Mug ${index}`;
    this.shop.data.products.push(product);
    this.#tell("products/create", bodies.productBody(product));
    return product;
  }

  updateProduct(product, change) {
    Object.assign(product, change, { updatedAt: this.later() });
    this.#tell("products/update", bodies.productBody(product));
  }

  deleteProduct(product) {
    this.#delete(product, "products");
    this.#tell("products/delete", bodies.deletedBody(product));
  }

  deleteOrder(order) {
    this.#delete(order, "orders");
    this.#tell("orders/delete", bodies.deletedBody(order));
  }

  #delete(node, room) {
    const at = this.later();
    const all = this.shop.data[room];
    all.splice(all.indexOf(node), 1);
    this.shop.deleted.push({ id: node.id, __typename: node.__typename, at });
  }

  placeOrder(index) {
    const order = orderNode(index, this.later(), 1 + this.below(3));
    order.displayFinancialStatus = "PENDING";
    for (const line of order.lineItems) {
      line.price = PRICES[this.below(PRICES.length)];
      line.unitDiscount = this.below(3) === 0 ? UNIT_DISCOUNT : 0;
      line.quantity = line.currentQuantity = 1 + this.below(4);
      line.originalUnitPriceSet = bag(text(line.price));
      const allocatedAmountSet = bag(text(line.unitDiscount * line.quantity));
      const discountApplication = { __typename: "ManualDiscountApplication", index: 0, targetType: "LINE_ITEM", allocationMethod: "ACROSS", targetSelection: "ALL" };
      line.discountAllocations = line.unitDiscount > 0 ? [{ allocatedAmountSet, discountApplication }] : [];
    }
    order.total = order.lineItems.reduce((sum, line) => sum + this.#worth(line, line.quantity), 0);
    for (const field of ["subtotalPriceSet", "totalPriceSet", "currentTotalPriceSet"]) order[field] = bag(text(order.total));
    order.transactions = [];
    order.agreements = [];
    const agreed = this.#agree(order, "OrderAgreement", "ORDER");
    for (const line of order.lineItems) this.#sell(agreed, line, line.quantity);
    this.shop.data.orders.push(order);
    this.#tell("orders/create", bodies.orderBody(order));
    return order;
  }

  #worth = (line, units) => (line.price - line.unitDiscount) * units;

  #agree(order, __typename, reason, more = {}) {
    const agreement = { __typename, id: gid("SalesAgreement", this.#id(6)), happenedAt: seconds(this.now), reason, sales: [], ...more };
    order.agreements.push(agreement);
    return agreement;
  }

  #sell(agreement, lineItem, units) {
    const discount = units > 0 ? lineItem.unitDiscount * units : 0;
    agreement.sales.push({
      __typename: "ProductSale",
      id: gid("Sale", this.#id(7)),
      actionType: units > 0 ? "ORDER" : "RETURN",
      lineType: "PRODUCT",
      quantity: units,
      totalAmount: bag(text(this.#worth(lineItem, units))),
      totalDiscountAmountBeforeTaxes: bag(text(discount)),
      totalDiscountAmountAfterTaxes: bag(text(discount)),
      totalTaxAmount: bag("0.00"),
      lineItem,
    });
  }

  #transaction(kind, cents, at) {
    const id = this.#id(5);
    return settled(kind, id, id, text(cents), at);
  }

  pay(order) {
    const payment = this.#transaction("SALE", order.total, this.later());
    order.transactions.push(payment);
    order.displayFinancialStatus = "PAID";
    this.#tell("order_transactions/create", bodies.paymentBody(order, payment));
    this.#changed(order, "orders/paid");
  }

  ship(order) {
    const at = this.later();
    const shipment = {
      id: gid("Fulfillment", this.#id(8)),
      name: `${order.name}.1`,
      status: "SUCCESS",
      displayStatus: "FULFILLED",
      createdAt: at,
      updatedAt: at,
      inTransitAt: null,
      deliveredAt: null,
      totalQuantity: 1,
      trackingInfo: [{ company: "Post & Co", number: null, url: null }],
    };
    order.fulfillments.push(shipment);
    order.displayFulfillmentStatus = "FULFILLED";
    this.#tell("fulfillments/create", bodies.fulfillmentBody(order, shipment));
    this.#changed(order, "orders/fulfilled");
  }

  /** One unit of the first line that has one left comes back. */
  refund(order) {
    const line = order.lineItems.find(({ currentQuantity }) => currentQuantity > 0);
    if (!line) return;
    const at = this.later();
    line.currentQuantity -= 1;
    const worth = bag(text(this.#worth(line, 1)));
    const refund = {
      id: gid("Refund", this.#id(10)),
      createdAt: at,
      processedAt: at,
      updatedAt: at,
      totalRefundedSet: worth,
      return: null,
      lines: [{ id: this.#id(11), line, quantity: 1, worth }],
      transaction: this.#transaction("REFUND", this.#worth(line, 1), at),
    };
    order.refunds.push(refund);
    order.transactions.push(refund.transaction);
    order.displayFinancialStatus = "PARTIALLY_REFUNDED";
    this.#sell(this.#agree(order, "RefundAgreement", "REFUND", { refund: { id: refund.id } }), line, -1);
    this.#tell("refunds/create", bodies.refundBody(order, refund));
    this.#tell("order_transactions/create", bodies.paymentBody(order, refund.transaction));
    this.#changed(order, "orders/updated");
  }

  /** One more unit of a line without a discount. */
  edit(order) {
    const line = order.lineItems.find(({ unitDiscount }) => unitDiscount === 0);
    if (!line) return;
    const committedAt = this.later();
    line.quantity += 1;
    line.currentQuantity += 1;
    order.edited = true;
    this.#sell(this.#agree(order, "OrderEditAgreement", "ORDER_EDIT"), line, 1);
    const edit = { id: this.#id(12), committedAt, additions: [{ line, delta: 1 }], removals: [] };
    this.#tell("orders/edited", bodies.editBody(order, edit));
    this.#changed(order, "orders/updated");
  }

  cancel(order) {
    order.cancelledAt = this.later();
    const reversed = this.#agree(order, "OrderEditAgreement", "ORDER_EDIT");
    for (const line of order.lineItems) {
      if (line.currentQuantity > 0) this.#sell(reversed, line, -line.currentQuantity);
    }
    this.#changed(order, "orders/cancelled");
  }

  askForReturn(order) {
    const returned = {
      __typename: "Return",
      id: gid("Return", this.#id(13)),
      name: `${order.name}-R1`,
      status: "REQUESTED",
      createdAt: this.later(),
      requestApprovedAt: null,
      closedAt: null,
      totalQuantity: 1,
      returnLineItems: [],
    };
    order.returns.push(returned);
    this.#tell("returns/request", bodies.returnBody(order, returned));
    this.#changed(order, "orders/updated");
  }
}

/**
 * Lives through the making of `orders` orders and whatever becomes of them, hours apart. Nothing is true only for a while:
 * one reading at the end can tell all of it, so that webhooks and bulk operations can be compared. With `deletions`, the last
 * three webhooks say that two orders and a product are gone.
 */
export function live(shop, { seed = 1, orders = 30, start, deletions = false } = {}) {
  const keeper = new Shopkeeper(shop, { seed, start });
  // A product that changes is told of at each version by webhooks, and at the last one by a reading.
  for (let index = 0; index < 5; index += 1) keeper.createProduct(index);
  for (let index = 0; index < orders; index += 1) {
    keeper.later(60 * (1 + keeper.below(12)));
    const order = keeper.placeOrder(index);
    if (keeper.below(8) > 0) keeper.pay(order);
    if (keeper.below(3) === 0) keeper.edit(order);
    if (keeper.below(5) === 0) keeper.askForReturn(order);
    keeper.later(60 * keeper.below(30));
    const fate = keeper.below(5);
    if (fate === 0) keeper.cancel(order);
    else if (fate < 3) keeper.refund(order);
    else keeper.ship(order);
  }
  if (deletions) {
    keeper.deleteOrder(shop.data.orders[2]);
    keeper.deleteOrder(shop.data.orders.at(-3));
    keeper.deleteProduct(shop.data.products[1]);
  }
  return keeper;
}
