//! The files of `sql/duckdb` that a refresh runs, in their order.

macro_rules! files {
    ($($name:ident = $file:literal),+ $(,)?) => {
        $(pub const $name: &str = include_str!(concat!("../../../sql/duckdb/", $file, ".sql"));)+
        /// All of them.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

files! {
    BEFORE = "05_before",
    PRODUCT_BEFORE = "06_product_before",
    TELEMETRY = "10_telemetry",
    TOLD_ORDER = "12_told_order",
    PARAMETERS = "15_parameters",
    TOUCHED_ORDERS = "17_touched_orders",
    SUPERSEDED = "18_superseded",
    NEWEST_EVENT = "20_newest_event",
    LEDGER_ENTRIES = "21_ledger_entries",
    ORDER_LEDGER = "22_order_ledger",
    MOVED_ENTRIES = "28_moved_entries",
    SALES_OF_ENTRIES = "30_sales",
    CHANGED_DAYS = "32_changed_days",
    SALES_CHANGED = "33_sales_changed",
    SALES_NAMED = "35_sales_named",
    SALES_SINCE = "36_sales_since",
    NEEDED_DAYS = "38_needed_days",
    SALES_TAKEN = "39_sales_taken",
    PRODUCT_TOLD = "40_product_told",
    PRODUCT = "42_product",
    PRODUCT_MEASURED = "45_product_measured",
    WINDOWS = "50_windows",
    CLASSIFICATION = "60_classification",
    PERFORMANCE_DAY = "70_performance_day",
}
