//! Every spelling Proxmox uses, and none that it does not.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, from_value, json};

use super::*;

#[test]
fn booleans_have_six_spellings() {
    for yes in [json!(1), json!("1"), json!(true)] {
        assert_eq!(from_value::<PveBool>(yes).unwrap(), PveBool(true));
    }
    for no in [json!(0), json!("0"), json!(false), json!("")] {
        assert_eq!(from_value::<PveBool>(no).unwrap(), PveBool(false));
    }
    for bad in [json!(2), json!("yes"), json!("true"), json!(null), json!([]), json!({}), json!(0.5)] {
        assert!(from_value::<PveBool>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn numbers_too_large_or_broken_are_errors() {
    for bad in [json!(u64::MAX), json!(1.5), json!("1.5"), json!("abc"), json!(""), json!(true), json!([1])] {
        assert!(from_value::<PveInt>(bad.clone()).is_err(), "{bad}");
    }
    assert!(from_value::<PveNumber>(json!("NaN")).is_err());
    assert!(from_value::<PveNumber>(json!("inf")).is_err());
    assert_eq!(from_value::<PveNumber>(json!("1.5")).unwrap(), PveNumber(1.5));
    assert_eq!(PveInt(-5).unsigned(), 0);
}

#[test]
fn null_is_an_empty_list_and_anything_else_is_not_a_list() {
    assert!(from_value::<Rows<PveInt>>(json!(null)).unwrap().0.is_empty());
    assert_eq!(from_value::<Rows<PveInt>>(json!([1, "2"])).unwrap().0, [PveInt(1), PveInt(2)]);
    assert!(from_value::<Rows<PveInt>>(json!({})).is_err());
    assert!(from_value::<Rows<PveInt>>(json!("x")).is_err());
}

#[test]
fn endless_lists_and_configurations_are_refused() {
    let list = Value::Array(vec![json!(1); ROWS_MAX + 1]);
    assert!(from_value::<Rows<PveInt>>(list).unwrap_err().to_string().contains("more than"));
    let map: serde_json::Map<String, Value> = (0..=KEYS_MAX).map(|n| (format!("k{n}"), json!(1))).collect();
    assert!(from_value::<RawConfig>(Value::Object(map)).unwrap_err().to_string().contains("more than"));
}

#[test]
fn configurations_keep_scalars_as_text_and_name_what_is_nested() {
    let raw: RawConfig =
        from_value(json!({"cores": 2, "cpulimit": "1.5", "debug": true, "lxc": [["a", "b"]], "gone": null})).unwrap();
    assert_eq!(raw.get("cores"), Some("2"));
    assert_eq!(raw.get("debug"), Some("1"));
    assert_eq!(raw.get("gone"), None);
    assert_eq!(raw.nested, ["lxc"]);
    assert_eq!(raw.digest(), "");
}

proptest! {
    #[test]
    fn a_number_reads_the_same_in_both_spellings(number: i64) {
        let plain: PveInt = from_value(json!(number)).unwrap();
        let text: PveInt = from_value(json!(number.to_string())).unwrap();
        prop_assert_eq!(plain, PveInt(number));
        prop_assert_eq!(text, PveInt(number));
    }

    #[test]
    fn whatever_comes_is_an_answer_or_an_error(text in ".{0,200}") {
        let _ = serde_json::from_str::<RawConfig>(&text);
        let _ = serde_json::from_str::<Rows<PveText>>(&text);
    }
}
