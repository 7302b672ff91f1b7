//! An order as far as its deliveries tell, independent of their order.
