//! What needs no server.
#![allow(clippy::unwrap_used)]
use super::url::{Target, Tls};

#[test]
fn urls_are_read_and_refused() {
    let target = Target::parse("postgres://rl:s%40crt@db1,db2:5433/lab?sslrootcert=/etc/ca.pem").unwrap();
    assert_eq!(target.hosts, [("db1".to_owned(), 5432), ("db2".to_owned(), 5433)]);
    assert_eq!((target.user.as_str(), target.database.as_str(), target.tls), ("rl", "lab", Tls::Verified));
    assert_eq!(target.secret().unwrap().unwrap().as_str(), "s@crt");
    for shown in [format!("{target}"), format!("{target:?}")] {
        assert!(!shown.contains("crt@") && shown.contains("db1"), "{shown}");
    }
    assert_eq!(Target::parse("postgres://rl@127.0.0.1/lab").unwrap().tls, Tls::Off);
    assert_eq!(Target::parse("postgres://rl@127.0.0.1/lab?sslmode=require").unwrap().tls, Tls::Verified);
    assert_eq!(Target::parse("postgresql://rl@[::1]:6000/lab").unwrap().hosts, [("::1".to_owned(), 6000)]);
    for wrong in [
        "mysql://a@b/c",
        "postgres://b/c",
        "postgres://a@b",
        "postgres://a@b:x/c",
        "postgres://@b/c",
        "postgres://a@b/c?sslmode=prefer",
        "postgres://a@b/c?other=1",
        "postgres://a@/c",
    ] {
        assert!(Target::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn password_files_are_read_as_postgresql_does() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# ours\nother:*:*:*:no\ndb1:5432:lab:rl:a\\:b\\\\c\n*:*:*:*:rest\n").unwrap();
    let url = |rest: &str| Target::parse(&format!("postgres://{rest}?passfile={}", file.path().display())).unwrap();
    let secret = |rest: &str| url(rest).secret().unwrap().unwrap().to_string();
    assert_eq!(secret("rl@db1/lab"), "a:b\\c");
    assert_eq!(secret("rl@db2/lab"), "rest");
    assert_eq!(secret("rl:own@db1/lab"), "own", "the URL's own password comes first");
    assert_eq!(url("rl@db1/lab").with_password("handed".into()).secret().unwrap().unwrap().as_str(), "handed");
}
