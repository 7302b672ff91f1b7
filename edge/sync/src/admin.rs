//! What an answer of the Admin API means: data, or how to go on without.

use serde_json::Value;

use crate::queries::API_VERSION;
use crate::step::StepError;

/// Kind of the failure of a call that comes too soon.
pub const THROTTLED: &str = "throttled";

/// Kind of the failure of an operation for which there is no room.
pub const FULL: &str = "operations_full";

/// An answer as it came.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `X-Shopify-API-Version`: the version that was served, which is not always the one that was asked for.
    pub api_version: Option<String>,
    /// `Retry-After`, seconds.
    pub retry_after: Option<String>,
    /// The body.
    pub body: String,
}

/// The access scopes that a shop has granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads `currentAppInstallation`.
    #[must_use]
    pub fn read(installation: &Value) -> Self {
        let handles = installation["accessScopes"].as_array().into_iter().flatten();
        Self(
            handles
                .filter_map(|scope| scope["handle"].as_str().map(str::to_owned))
                .collect(),
        )
    }

    /// Whether `scope`, one to read, is granted. A scope to write includes the one to read.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        let writing = scope.replace("read_", "write_");
        self.0.iter().any(|granted| *granted == scope || *granted == writing)
    }

    /// Their names.
    #[must_use]
    pub fn handles(&self) -> &[String] {
        &self.0
    }
}

/// The `data` of an answer.
///
/// # Errors
/// [`StepError`]: passing for a throttle or a fault of Shopify's, lasting for what only a person can mend.
pub fn data(answer: &Answer) -> Result<Value, StepError> {
    match answer.status {
        200 => {}
        429 => {
            let seconds = answer
                .retry_after
                .as_deref()
                .and_then(|text| text.trim().parse::<f64>().ok());
            let millis = seconds.filter(|seconds| seconds.is_sign_positive()).unwrap_or(2.0) * 1000.0;
            return Err(StepError::passing(THROTTLED, "Shopify answered 429").after(millis as u64));
        }
        401 => {
            return Err(lasting_status(
                answer,
                "the access token is refused: withdrawn, or good for a day only; give another, or the app's client id and secret",
            ))
        }
        402 | 403 | 404 | 423 => return Err(lasting_status(answer, "the shop is closed to this app")),
        status if status >= 500 => {
            return Err(StepError::passing(
                "shopify_unavailable",
                format!("Shopify answered {status}"),
            ));
        }
        _ => return Err(lasting_status(answer, "Shopify does not take the request")),
    }
    check_version(answer)?;
    let mut body: Value = serde_json::from_str(&answer.body)
        .map_err(|error| StepError::passing("unreadable_answer", format!("Shopify's answer is not JSON: {error}")))?;
    match body["errors"].as_array().and_then(|errors| errors.first()) {
        Some(error) => Err(graphql_error(error, &body)),
        None if body["data"].is_object() => Ok(body["data"].take()),
        None => Err(StepError::passing(
            "unreadable_answer",
            "Shopify's answer has neither data nor errors",
        )),
    }
}

fn lasting_status(answer: &Answer, detail: &str) -> StepError {
    StepError::lasting(
        &format!("shopify_{}", answer.status),
        format!("Shopify answered {}: {detail}", answer.status),
    )
}

/// Shopify serves the oldest version it still has when the one asked for is gone: fields then mean something else without
/// a word. Nothing is read from such an answer.
fn check_version(answer: &Answer) -> Result<(), StepError> {
    match answer.api_version.as_deref() {
        Some(served) if served != API_VERSION => Err(StepError::lasting(
            "api_version",
            format!("ALARM: Shopify served API version {served} instead of {API_VERSION}; nothing was read"),
        )),
        _ => Ok(()),
    }
}

fn graphql_error(error: &Value, body: &Value) -> StepError {
    let code = error["extensions"]["code"].as_str().unwrap_or_default();
    let message = error["message"].as_str().unwrap_or("no message");
    match code {
        "THROTTLED" => StepError::passing(THROTTLED, message).after(throttle_millis(&body["extensions"]["cost"])),
        "INTERNAL_SERVER_ERROR" | "TIMEOUT" => StepError::passing("shopify_unavailable", format!("{code}: {message}")),
        "ACCESS_DENIED" => StepError::lasting("access_denied", format!("{message}; grant the scope to the app")),
        _ => StepError::lasting("graphql_error", format!("{code} {message}").trim().to_owned()),
    }
}

/// Until the bucket holds what the query costs.
fn throttle_millis(cost: &Value) -> u64 {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let throttle = &cost["throttleStatus"];
    let missing = number(&cost["requestedQueryCost"]) - number(&throttle["currentlyAvailable"]);
    let rate = number(&throttle["restoreRate"]).max(1.0);
    ((missing / rate).max(1.0) * 1000.0).ceil() as u64
}

/// What `bulkOperationRunQuery` and its like complain of.
#[must_use]
pub fn user_error(payload: &Value) -> Option<StepError> {
    let error = payload["userErrors"].as_array()?.first()?;
    let message = error["message"].as_str().unwrap_or("no message");
    Some(match error["code"].as_str() {
        // Five run at once per shop and app; the others may be anybody's and are left alone.
        Some("OPERATION_IN_PROGRESS" | "LIMIT_REACHED") => StepError::passing(FULL, message),
        _ => StepError::lasting("user_error", message),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            api_version: Some(API_VERSION.into()),
            retry_after: None,
            body: body.to_string(),
        }
    }

    #[test]
    fn data_comes_out_and_another_version_raises_the_alarm() {
        let mut good = answer(200, &json!({"data": {"shop": {"id": "1"}}}));
        assert_eq!(data(&good).unwrap(), json!({"shop": {"id": "1"}}));
        good.api_version = Some("2026-07".into());
        let error = data(&good).unwrap_err();
        assert_eq!((error.kind.as_str(), error.retry_after_millis), ("api_version", None));
        assert!(error.detail.contains("2026-07") && error.detail.contains(API_VERSION));
    }

    #[test]
    fn a_throttle_says_how_long() {
        let cost = json!({"requestedQueryCost": 100, "throttleStatus": {"currentlyAvailable": 40, "restoreRate": 20}});
        let throttled = json!({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": {"cost": cost}});
        assert_eq!(
            data(&answer(200, &throttled)).unwrap_err().retry_after_millis,
            Some(3000)
        );
        let mut too_many = answer(429, &json!({}));
        too_many.retry_after = Some("4.0".into());
        assert_eq!(data(&too_many).unwrap_err().retry_after_millis, Some(4000));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let passing = |answer: &Answer| data(answer).unwrap_err().retry_after_millis.is_some();
        assert!(passing(&answer(502, &json!({}))));
        assert!(passing(&answer(200, &json!("not an answer"))));
        for status in [400, 401, 403, 404, 423] {
            assert!(!passing(&answer(status, &json!({}))), "{status}");
        }
        let denied =
            json!({"errors": [{"message": "no", "extensions": {"code": "ACCESS_DENIED"}}], "data": {"orders": null}});
        assert_eq!(data(&answer(200, &denied)).unwrap_err().kind, "access_denied");
    }

    #[test]
    fn a_full_house_is_waited_for_and_a_refused_query_is_not() {
        let with = |code: &str| user_error(&json!({"userErrors": [{"code": code, "message": "m"}]})).unwrap();
        assert_eq!(with("OPERATION_IN_PROGRESS").kind, FULL);
        assert!(with("INVALID").retry_after_millis.is_none());
        assert_eq!(user_error(&json!({"userErrors": []})), None);
    }
}
