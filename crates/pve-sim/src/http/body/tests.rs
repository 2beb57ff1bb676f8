use super::*;

fn request(content_type: &str, query: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        query: query.to_owned(),
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

fn text(args: &Args, name: &str) -> String {
    args.text(name).unwrap_or("(none)").to_owned()
}

#[test]
fn forms_are_decoded_and_doubled_names_become_lists() {
    let form = request("application/x-www-form-urlencoded", "q=1&_dc=7", "a=x+y%26z&b=1&b=2");
    let args = params(&form).unwrap_or_default();
    assert_eq!((text(&args, "a"), text(&args, "q")), ("x y&z".to_owned(), "1".to_owned()));
    assert!(matches!(args.0.get("b"), Some(Arg::List(items)) if items.len() == 2));
    assert!(!args.has("_dc"));
}

#[test]
fn json_values_become_what_perl_sees() {
    let args = params(&request("application/json", "", r#"{"a":true,"b":300.5,"c":null,"d":[1]}"#)).unwrap_or_default();
    assert_eq!(
        (text(&args, "a"), text(&args, "b"), text(&args, "c")),
        ("1".to_owned(), "300.5".to_owned(), String::new())
    );
    assert!(matches!(args.0.get("d"), Some(Arg::List(_))));
}

#[test]
fn broken_json_is_refused_with_perls_words() {
    let reason =
        |body: &str| params(&request("application/json", "", body)).err().map(|r| r.reason).unwrap_or_default();
    insta::assert_snapshot!(reason("{bad json"), @r#"'"' expected, at character offset 1 (before "bad json") at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934."#);
    insta::assert_snapshot!(reason("[1]"), @"Not a HASH reference at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 978.");
}
