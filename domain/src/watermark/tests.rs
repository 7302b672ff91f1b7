use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-11-24T10:00:00.789Z";

#[test]
fn a_watermark_has_the_shape_that_others_read() {
    let watermark = Watermark {
        key: ORDERS.into(),
        value_json: Reached {
            ts: at("2026-11-24T10:00:00Z"),
        },
    };
    let text = r#"{"key":"orders_last_watermark","value_json":{"ts":"2026-11-24T10:00:00.000Z"}}"#;
    assert_eq!(serde_json::to_string(&watermark).unwrap(), text);
    assert_eq!(serde_json::from_str::<Watermark>(text).unwrap(), watermark);
    let error = serde_json::from_str::<Reached>(r#"{"ts":"yesterday"}"#).unwrap_err();
    assert!(error.to_string().contains("yesterday"), "{error}");
}

#[test]
fn a_window_reaches_back_over_the_watermark() {
    let window = daily_window(Some(at("2026-11-23T10:00:00Z")), at(NOW), SignedDuration::from_mins(30));
    let expected = (at("2026-11-23T09:30:00Z"), at("2026-11-24T10:00:00Z"));
    assert_eq!((window.from, window.to), expected);
    let least = daily_window(Some(at("2026-11-23T10:00:00Z")), at(NOW), SignedDuration::ZERO);
    assert_eq!(least.from, at("2026-11-23T09:50:00Z"), "never less than ten minutes");
}

#[test]
fn an_old_or_absent_watermark_counts_as_128_days() {
    let floored = at("2026-07-19T09:50:00Z");
    for watermark in [None, Some(at("2020-01-01T00:00:00Z")), Some(at("2026-07-19T09:59:59Z"))] {
        assert_eq!(
            daily_window(watermark, at(NOW), MIN_OVERLAP).from,
            floored,
            "{watermark:?}"
        );
    }
    let younger = Some(at("2026-07-19T10:00:01Z"));
    assert_eq!(
        daily_window(younger, at(NOW), MIN_OVERLAP).from,
        at("2026-07-19T09:50:01Z")
    );
}

#[test]
fn what_nobody_could_read_is_not_counted_as_read() {
    let [old, recent] = ["2026-09-01T00:00:00Z", "2026-11-23T10:00:00Z"].map(at);
    let daily = |watermark| daily_window(watermark, at(NOW), MIN_OVERLAP);
    let window = daily(Some(recent));
    assert_eq!(
        read_since(Some(old), Some(recent), window, true),
        old,
        "the windows join"
    );
    assert_eq!(
        read_since(Some(old), Some(recent), window, false),
        window.to,
        "older orders are hidden"
    );
    let first = daily(None);
    assert_eq!(read_since(None, None, first, true), first.from);
    let ancient = Some(at("2026-01-01T00:00:00Z"));
    assert_eq!(
        read_since(ancient, ancient, daily(ancient), true),
        daily(ancient).from,
        "a gap"
    );
    assert_eq!(
        read_since(Some(recent), None, first, true),
        recent,
        "it never moves back"
    );
}

#[test]
fn a_backfill_ends_where_the_daily_runs_begin_or_where_it_is_told_to() {
    let [since, until] = ["2026-09-01T00:00:00Z", "2026-11-24T00:00:00Z"].map(at);
    assert_eq!(backfill_end(None, None, at(NOW)), floor(at(NOW)));
    assert_eq!(backfill_end(None, Some(since), at(NOW)), since);
    assert_eq!(backfill_end(Some(until), Some(since), at(NOW)), until);
    assert_eq!(
        backfill_end(Some(at("2030-01-01T00:00:00Z")), None, at(NOW)),
        at("2026-11-24T10:00:00Z")
    );
}

#[test]
fn the_parts_of_a_backfill_share_its_watermark() {
    let key = "orders_backfill_watermark/full_backfill-shop-2023-01-01";
    assert_eq!(backfill_key("full_backfill-shop-2023-01-01"), key);
    assert_eq!(backfill_key("full_backfill-shop-2023-01-01-part12"), key);
    assert_eq!(
        backfill_key("full_backfill-shop-2023-01-01-2-part3"),
        format!("{key}-2")
    );
    assert_eq!(
        backfill_key("full_backfill-my-parts-2023-01-01"),
        format!("{BACKFILL}/full_backfill-my-parts-2023-01-01")
    );
}

#[test]
fn months_end_with_the_month() {
    let slices = month_slices(at("2023-12-15T12:00:00Z"), at("2024-03-01T00:00:00Z"));
    let texts: Vec<_> = slices
        .iter()
        .map(|slice| format!("{:.0} {:.0}", slice.from, slice.to))
        .collect();
    assert_eq!(
        texts,
        [
            "2023-12-15T12:00:00Z 2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Z 2024-02-01T00:00:00Z",
            "2024-02-01T00:00:00Z 2024-03-01T00:00:00Z",
        ]
    );
    assert_eq!(month_slices(at(NOW), at(NOW)), []);
}

#[test]
fn a_stale_run_is_refused_and_told_where_the_watermark_is() {
    let (old, new) = (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"));
    let refusal = advance(Some(new), Some(old), at(NOW)).unwrap_err();
    assert_eq!(refusal.kind(), "stale_watermark");
    assert!(refusal.to_string().contains("2026-11-23T00:00:00.000Z"), "{refusal}");
    assert_eq!(
        advance(Some(new), Some(new), old).unwrap_err().kind(),
        "watermark_backwards"
    );
    assert!(advance(None, Some(old), new).is_err());
    assert_eq!(advance(None, None, old), Ok(()));
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (1_500_000_000_000i64..1_900_000_000_000).prop_map(|millis| Timestamp::from_millisecond(millis).unwrap())
}

proptest! {
    #[test]
    fn no_sequence_of_moves_ever_goes_back(moves in prop::collection::vec((instant(), prop::option::of(instant()), any::<bool>()), 0..40)) {
        let mut current = None;
        for (to, guess, honest) in moves {
            let expected = if honest { current } else { guess };
            let before = current;
            if advance(current, expected, to).is_ok() {
                prop_assert_eq!(expected, before);
                current = Some(to);
            }
            prop_assert!(current >= before);
        }
    }

    #[test]
    fn a_daily_window_covers_everything_since_the_watermark(watermark in prop::option::of(instant()), now in instant(), minutes in 0i64..5000) {
        let window = daily_window(watermark, now, SignedDuration::from_mins(minutes));
        prop_assert!(window.from + MIN_OVERLAP <= window.to);
        prop_assert!(window.to <= now && now.as_second() == window.to.as_second());
        prop_assert!(window.from + MIN_OVERLAP <= watermark.unwrap_or(floor(now)).max(floor(now)));
        prop_assert!(window.from >= floor(now) - SignedDuration::from_mins(minutes.max(10)) - SignedDuration::from_secs(1));
    }

    #[test]
    fn halves_and_slices_leave_no_gap(from in instant(), seconds in 0i64..200_000_000) {
        let from = whole_second(from);
        let whole = Window { from, to: from + SignedDuration::from_secs(seconds) };
        if let Some((first, second)) = whole.halves() {
            prop_assert_eq!((first.from, first.to, second.to), (whole.from, second.from, whole.to));
            prop_assert!(first.from < first.to && second.from < second.to);
        } else {
            prop_assert!(seconds <= 2);
        }
        let slices = month_slices(whole.from, whole.to);
        let mut reached = whole.from;
        for slice in &slices {
            prop_assert_eq!(slice.from, reached);
            prop_assert!(slice.from < slice.to);
            reached = slice.to;
        }
        prop_assert_eq!(reached, whole.to);
    }
}

#[test]
fn a_watermark_of_before_the_registration_says_nothing() {
    let [before, then, after] = ["2026-11-24T10:00:00Z", "2026-11-24T10:00:01Z", "2026-11-24T10:00:02Z"].map(at);
    assert!(holds(Some(then), Some(then)) && holds(Some(after), Some(then)));
    assert!(!holds(Some(before), Some(then)) && !holds(None, Some(then)));
    assert!(holds(Some(before), None) && holds(None, None));
}
