//! A server with its API, and a client that trusts it.

use std::net::SocketAddr;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use super::{Child, Run, World};

/// A server that runs.
pub(crate) struct Served {
    pub(crate) child: Child,
    /// Where its API is.
    pub(crate) url: String,
    /// A token that may do everything.
    pub(crate) token: String,
    /// The authority that vouches for it, as PEM.
    pub(crate) authority: String,
    pub(crate) client: reqwest::Client,
}

impl World {
    /// Starts a server with its API and whatever else is asked for, and waits until it says where it is.
    pub(crate) fn api_server(&self, args: &[&str]) -> Served {
        let all: Vec<&str> = ["serve", "--listen", "127.0.0.1:0"].into_iter().chain(args.iter().copied()).collect();
        self.api_server_command(self.command(&all))
    }

    /// The same by a prepared command.
    pub(crate) fn api_server_command(&self, command: std::process::Command) -> Served {
        let door = self.data.join("api/local.json");
        let _ = std::fs::remove_file(&door);
        let child = self.spawn_command(command);
        self.until("the server says where it is", || door.exists());
        let door: Value = serde_json::from_slice(&std::fs::read(door).unwrap()).unwrap();
        let text = |name: &str| door[name].as_str().unwrap().to_owned();
        let (url, token, authority) = (text("url"), text("token"), text("authority"));
        let root = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
        Served { child, url, token, authority, client }
    }

    /// Asks the server of this world; where it has none, one that is started for this.
    pub(crate) fn with_server<T>(&self, ask: impl FnOnce(&Served) -> T) -> T {
        if let Some(served) = self.server.borrow().as_ref() {
            return ask(served);
        }
        let served = self.api_server(&[]);
        let told = ask(&served);
        self.end(served).expect(0);
        told
    }

    /// Ends a server, and gives what it said.
    pub(crate) fn end(&self, served: Served) -> Run {
        served.child.signal(rustix::process::Signal::TERM);
        self.wait(served.child)
    }
}

impl Served {
    /// A request with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// The answer to a GET.
    pub(crate) fn get(&self, world: &World, path: &str) -> Response {
        world.runtime.block_on(self.request(Method::GET, path).send()).unwrap()
    }

    /// The text of the answer to a GET.
    pub(crate) fn text(&self, world: &World, path: &str) -> String {
        let response = self.get(world, path);
        world.runtime.block_on(response.text()).unwrap()
    }

    /// The same as JSON.
    pub(crate) fn json(&self, world: &World, path: &str) -> Value {
        let text = self.text(world, path);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The address, for raw connections.
    pub(crate) fn address(&self) -> SocketAddr {
        self.url.strip_prefix("https://").unwrap().parse().unwrap()
    }

    /// Its process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}
