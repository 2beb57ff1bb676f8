//! A server that speaks TLS, and one that only seems to be who it should be.
use std::path::Path;
use std::process::Command;

use pg_lab::{Options, PgServer};
use rcgen::{CertificateParams, KeyPair};
use rl_engine::Journal;
use rl_store::{Postgres, Target};

use super::load::{ids, now, operation};

/// A certificate for `localhost` in a folder that the server may read.
fn certificate(dir: &Path) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(dir.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    let run = |program: &str, args: &[&str]| assert!(Command::new(program).args(args).status().unwrap().success());
    let text = |name: &str| dir.join(name).display().to_string();
    run("chmod", &["755", &dir.display().to_string()]);
    run("chmod", &["600", &text("server.key")]);
    if rustix_is_root() {
        run("chown", &["postgres", &text("server.key")]);
    }
}

fn rustix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified() {
    let dir = tempfile::Builder::new().prefix("rl-tls-").tempdir_in("/tmp").unwrap();
    certificate(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let settings = vec![
        "ssl = on".to_owned(),
        format!("ssl_cert_file = '{}'", file("server.pem")),
        format!("ssl_key_file = '{}'", file("server.key")),
    ];
    let server = PgServer::start(&Options { fsync: false, settings }).unwrap();
    let url = |host: &str, root: &str| {
        let port = server.port();
        format!("postgres://postgres@{host}:{port}/rapidlaunch?sslmode=verify-full&sslrootcert={root}")
    };
    let target = Target::parse(&url("localhost", &file("server.pem"))).unwrap();
    let store = Postgres::open(&target).unwrap();
    store.submit(operation(&ids(), 1), now()).await.unwrap();
    let sql = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where a.application_name = 'rapidlaunch' and not s.ssl";
    assert_eq!(server.psql("rapidlaunch", sql).unwrap().trim(), "0", "no connection of the store is in the clear");
    let wrong_name = Target::parse(&url("127.0.0.1", &file("server.pem"))).unwrap();
    let error = Postgres::open(&wrong_name).unwrap_err();
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
    let other = tempfile::tempdir().unwrap();
    certificate(other.path());
    let root = other.path().join("server.pem").display().to_string();
    let strange = Target::parse(&url("localhost", &root)).unwrap();
    assert!(Postgres::open(&strange).is_err(), "a certificate of another hand is not believed");
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(chain).unwrap_or_default();
    format!("{error}: {source}")
}
