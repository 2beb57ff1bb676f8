//! The suite on each real server.

use rl_model::SecretValue;
use rl_providers::dns::{DnsError, DnsProvider, PowerDns, Rfc2136};

use super::conformance::{conforms, lists_a_large_zone};
use super::lab::{self, API_KEY, Server, zone};

fn signed(server: &Server) -> Rfc2136 {
    Rfc2136::new(&zone(), server.address.clone(), lab::key(), Vec::new())
}

async fn both(server: &Server, provider: &dyn DnsProvider) {
    conforms(provider, Some(&server.address)).await;
    lists_a_large_zone(provider).await;
}

#[tokio::test]
async fn bind_by_signed_updates() {
    let server = lab::bind().await;
    both(&server, &signed(&server)).await;
}

#[tokio::test]
async fn knot_by_signed_updates() {
    let server = lab::knot().await;
    both(&server, &signed(&server)).await;
}

#[tokio::test]
async fn powerdns_by_signed_updates() {
    let server = lab::powerdns().await;
    both(&server, &signed(&server)).await;
}

#[tokio::test]
async fn powerdns_by_its_api() {
    let server = lab::powerdns().await;
    let api = server.api.as_ref().unwrap();
    let secret = || SecretValue::new(API_KEY);
    let own = vec![server.address.clone()];
    both(&server, &PowerDns::new(&zone(), api, "localhost", secret(), own).unwrap()).await;
    let asked = PowerDns::new(&zone(), api, "localhost", secret(), Vec::new()).unwrap().servers().await.unwrap();
    assert_eq!(asked, ["ns1.example.org".parse().unwrap()]);
    let wrong = PowerDns::new(&zone(), api, "localhost", SecretValue::new("nonsense"), Vec::new()).unwrap();
    let error = wrong.list().await.unwrap_err();
    assert!(matches!(&error, DnsError::Refused { hint, .. } if hint.contains("api-key")), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("nonsense"));
    let other = PowerDns::new(&"example.net".parse().unwrap(), api, "localhost", secret(), Vec::new()).unwrap();
    let error = other.list().await.unwrap_err();
    assert!(matches!(&error, DnsError::Refused { hint, .. } if hint.contains("create the zone")), "{error:?}");
}
