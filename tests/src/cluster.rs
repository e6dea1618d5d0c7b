//! Several hosts over one set of servers, which all serve the tenant `demo`.

use millwork_host::http::token::Keys;
use tempfile::TempDir;

use crate::client::Client;
use crate::poll::{self, WITHIN_LONG};
use crate::production;
use crate::server::{Server, Setup};

/// Hosts of the clusters that tests start.
pub const HOSTS: usize = 3;

/// A cluster. The first host has set the tenant `demo` up, with every module.
pub struct Hosts {
    /// Each a process of its own.
    pub hosts: Vec<Server>,
    _key: TempDir,
}

impl Hosts {
    /// Three hosts; none, which is said, where a server cannot be had.
    #[must_use]
    pub fn start() -> Option<Self> {
        Some(Self::of(vec![production::setup()?; HOSTS]))
    }

    /// Hosts with these settings, which name the same servers.
    ///
    /// # Panics
    /// When one does not start.
    #[must_use]
    pub fn of(setups: impl IntoIterator<Item = Setup>) -> Self {
        let key = tempfile::tempdir().expect("it can be made");
        Keys::open(key.path()).expect("it can be made");
        let file = key.path().join("host-key");
        let mut hosts = Vec::new();
        for setup in setups {
            let cluster = format!(
                "[cluster]\nprofile = \"production\"\nlease = \"1s\"\nhost_key = {{ file = {:?} }}\n",
                file.display().to_string()
            );
            hosts.push(Server::start(Setup {
                demo: hosts.is_empty(),
                settings: setup.settings + &cluster,
                log: "info".to_owned(),
                ..setup
            }));
        }
        let hosts = Self { hosts, _key: key };
        for host in 0..hosts.hosts.len() {
            hosts.until_served(host);
        }
        hosts
    }

    /// Waits until a host has heard of the tenant.
    ///
    /// # Panics
    /// When it has not for long.
    pub fn until_served(&self, host: usize) {
        let api = self.api(host);
        poll::within(WITHIN_LONG, "the tenant is served", || {
            (api.get("/api/v1/clients").status == 200).then_some(())
        });
    }

    /// One of the hosts, counted round and round.
    fn host(&self, number: usize) -> &Server {
        let mut round = self.hosts.iter().cycle();
        round.nth(number).expect("there is a host")
    }

    /// The tenant's admin at one of the hosts.
    #[must_use]
    pub fn api(&self, host: usize) -> Client {
        self.host(host).somebody(Some("demo"), &["admin"])
    }

    /// Which host works for the tenant, as another tells.
    ///
    /// # Panics
    /// When nobody does for long.
    #[must_use]
    pub fn home(&self, asked: usize) -> usize {
        let operator = self.host(asked).somebody(None, &["operator"]);
        poll::within(WITHIN_LONG, "a home", || {
            let tenants = operator.get("/admin/v1/tenants").done();
            let all = tenants.get("tenants")?.as_array()?;
            let demo = all
                .iter()
                .find(|tenant| tenant.get("id").is_some_and(|id| id == "demo"))?;
            let home = demo.get("home")?.as_str()?.to_owned();
            self.hosts.iter().position(|host| host.url() == home)
        })
    }
}
