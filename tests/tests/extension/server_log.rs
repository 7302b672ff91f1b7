//! What PostgreSQL's own log tells of the Workers' calls.

use super::{delivery, order, shop, CLUSTER};

/// What the server has written to its log once `text` is in it.
async fn log_with(text: &str) -> String {
    loop {
        let log = CLUSTER.lock().await.as_ref().unwrap().log();
        if log.contains(text) {
            return log;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_call_that_fails_leaves_no_body_in_the_log() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let refuse = "create function public.refuse() returns trigger language plpgsql as $$
            begin raise exception 'refused by %', tg_name; end $$;
        create trigger out_of_order before insert on commerce.order_header execute function public.refuse()";
    admin.batch_execute(refuse).await.unwrap();
    let name = "Jane of the log";
    let body = order(7, 1, &format!(r#""note": "{name}","#));
    let batch = serde_json::Value::from(vec![delivery("1", "orders/create", &body)]).to_string();
    // As a Worker calls it: the deliveries are in the statement.
    let literal = format!("'{}'", batch.replace('\'', "''"));
    for argument in [literal.clone(), format!("{literal}::json")] {
        let error = edge
            .simple_query(&format!("select weir.ingest({argument})::text"))
            .await
            .unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains("refused by"), "{error}");
    }
    let log = log_with("refused by out_of_order").await;
    assert!(!log.contains(name));
    // Whoever has not been told otherwise writes it.
    admin
        .simple_query(&format!("select '{name}', 1 / 0"))
        .await
        .unwrap_err();
    log_with(name).await;
}
