// When workflows begin by themselves.

/** Which workflow each cron trigger of wrangler.jsonc starts. */
export const SCHEDULES = {
  "15 3 * * *": "daily_shopify_bulk_sync",
  "45 2 * * *": "webhook_reconcile",
  "30 4 * * SUN": "deletion_reconcile",
  "5 * * * *": "measurement_refresh",
  "*/10 * * * *": "artifact_replication",
};
