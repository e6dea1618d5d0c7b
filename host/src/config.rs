//! Every bound and setting of the host, named. Each has a default that serves a small installation.

pub mod artifacts;
pub mod cluster;
pub mod crash;
pub mod file;
pub mod moving;
pub mod profile;
pub mod rate;
pub mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use millwork_registry::id::TenantId;
use serde::Deserialize;

use self::artifacts::ArtifactLimits;
use self::cluster::Cluster;
use self::crash::CrashPoint;
use self::moving::MovingLimits;
use self::profile::Profile;
use self::rate::Rate;
use self::sessions::SessionLimits;

/// Longest id of an aggregate or a document, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest idempotency key, in bytes.
pub const COMMAND_ID_BYTES_MAX: usize = 255;
/// Longest value of a claim, in bytes.
pub const CLAIM_BYTES_MAX: usize = 512;

/// Largest document, in bytes of JSON text.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// How deep a document may nest.
pub const DOCUMENT_DEPTH_MAX: usize = 64;
/// Documents of one page.
pub const FIND_LIMIT_MAX: u32 = 1_000;
/// Documents that a page may pass over.
pub const FIND_SKIP_MAX: u32 = 10_000;
/// How deep a filter may nest.
pub const FILTER_DEPTH_MAX: usize = 16;
/// Conditions of a filter, and changes of an update.
pub const FILTER_TESTS_MAX: usize = 256;
/// Values in all `$in` of a filter, or of one `$each`.
pub const FILTER_VALUES_MAX: usize = 1_000;
/// Longest regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 1_000;
/// Longest path of a field, in bytes.
pub const PATH_BYTES_MAX: usize = 256;
/// Fields of one sort.
pub const SORT_FIELDS_MAX: usize = 8;
/// Fields that a find may ask for.
pub const FIELDS_MAX: usize = 256;

/// Everything that `millwork serve` can be told: by a file, see [`file`], by variables of the environment, and what is
/// absent there has its default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder that holds all data.
    pub data: PathBuf,
    /// Address to listen at; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The tenants that this host serves; empty is all.
    pub tenants: BTreeSet<TenantId>,
    /// The profile of tenants that name none.
    pub profile: String,
    /// Where the data of tenants is, by the names that tenants give: [`profile::EMBEDDED`] is always there.
    pub profiles: BTreeMap<String, Profile>,
    /// The cluster that it is part of; absent for a host that is alone.
    pub cluster: Option<Cluster>,
    /// How the event file is written and files are read.
    pub events: EventLimits,
    /// Bytes that the cache of all tenants keeps.
    pub cache_bytes_max: u64,
    /// What components may use.
    pub engine: EngineLimits,
    /// How commands are handled.
    pub dispatch: DispatchLimits,
    /// How projections are run.
    pub project: ProjectLimits,
    /// How modules are changed while they serve.
    pub swap: SwapLimits,
    /// How modules are watched.
    pub health: HealthLimits,
    /// How history is replayed on a candidate.
    pub replay: ReplayLimits,
    /// How releases are taken from and to other registries.
    pub artifacts: ArtifactLimits,
    /// How tenants are moved between hosts and profiles.
    pub moving: MovingLimits,
    /// How long users stay signed in.
    pub sessions: SessionLimits,
    /// What requests may be like.
    pub http: HttpLimits,
}

impl Config {
    /// Defaults, with data in `data`.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tenants: BTreeSet::new(),
            profile: profile::EMBEDDED.to_owned(),
            profiles: BTreeMap::new(),
            cluster: None,
            events: EventLimits::default(),
            cache_bytes_max: 64 << 20,
            engine: EngineLimits::default(),
            dispatch: DispatchLimits::default(),
            project: ProjectLimits::default(),
            swap: SwapLimits::default(),
            health: HealthLimits::default(),
            replay: ReplayLimits::default(),
            artifacts: ArtifactLimits::default(),
            moving: MovingLimits::default(),
            sessions: SessionLimits::default(),
            http: HttpLimits::default(),
        }
    }

    /// Whether this host serves a tenant.
    #[must_use]
    pub fn serves(&self, tenant: &TenantId) -> bool {
        self.tenants.is_empty() || self.tenants.contains(tenant)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new("data")
    }
}

/// How the event file is written and files are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventLimits {
    /// Requests that may wait for the writer; further ones are refused.
    pub queue_max: usize,
    /// Requests that one transaction takes.
    pub batch_max: usize,
    /// Connections that read events at once; further reads wait.
    pub event_readers_max: usize,
    /// Connections of one tenant that read documents at once; further reads wait.
    pub document_readers_max: usize,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            queue_max: 10_000,
            batch_max: 512,
            event_readers_max: 4,
            document_readers_max: 4,
        }
    }
}

/// What one call into a component may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineLimits {
    /// Instances alive at once in the whole host; more wait.
    pub instances_max: u32,
    /// Linear memory of one instance.
    pub memory_bytes_max: usize,
    /// Elements of one table; SpiderMonkey's largest has 7,690.
    pub table_elements_max: usize,
    /// Stack of one call.
    pub stack_bytes_max: usize,
    /// Period of the ticker that deadlines are counted in.
    #[serde(with = "humantime_serde")]
    pub tick: Duration,
    /// How long a pure call may hold a worker thread before it moves to the slow lane, in ticks.
    pub inline_ticks: u64,
    /// How long a pure call may take in all, in ticks.
    pub pure_ticks: u64,
    /// How long a call with capabilities may take on the CPU, in ticks.
    pub effect_ticks: u64,
    /// Calls of one tenant in the slow lane at once; more wait.
    pub slow_calls_max: usize,
    /// Bytes that a component may hand over in one direction of one call, lists and strings together.
    pub transfer_bytes_max: usize,
    /// Calls from a component into the host within one call.
    pub host_calls_max: u32,
    /// Bytes that capabilities may return within one call.
    pub returned_bytes_max: usize,
    /// Log lines of one call; further ones are counted and dropped.
    pub log_lines_max: u32,
    /// Bytes of one log line.
    pub log_bytes_max: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            instances_max: 1_000,
            memory_bytes_max: 64 << 20,
            table_elements_max: 20_000,
            stack_bytes_max: 512 << 10,
            tick: Duration::from_millis(10),
            inline_ticks: 2,
            pure_ticks: 100,
            effect_ticks: 500,
            slow_calls_max: 4,
            transfer_bytes_max: 8 << 20,
            host_calls_max: 10_000,
            returned_bytes_max: 32 << 20,
            log_lines_max: 100,
            log_bytes_max: 8 << 10,
        }
    }
}

/// How commands are handled.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DispatchLimits {
    /// How often a command is decided again after a version conflict.
    pub attempts_max: u32,
    /// Events of one decision.
    pub events_max: usize,
    /// Bytes of one event's data.
    pub event_bytes_max: usize,
    /// Bytes of one aggregate's state.
    pub state_bytes_max: usize,
    /// Claims and releases of one decision.
    pub claims_max: usize,
    /// Aggregates that one decision may span.
    pub related_max: usize,
    /// Bytes of states kept in memory for all tenants.
    pub state_cache_bytes: u64,
    /// Events after which a new snapshot is kept.
    pub snapshot_every: u64,
    /// Events loaded at once when a state is folded.
    pub load_page: u32,
}

impl Default for DispatchLimits {
    fn default() -> Self {
        Self {
            attempts_max: 32,
            events_max: 1_000,
            event_bytes_max: 256 << 10,
            state_bytes_max: 1 << 20,
            claims_max: 32,
            related_max: 16,
            state_cache_bytes: 256 << 20,
            snapshot_every: 100,
            load_page: 500,
        }
    }
}

/// How projections are run.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectLimits {
    /// Events that one unit of work applies.
    pub batch_events_max: u32,
    /// Tenants whose projections run at once.
    pub tenants_at_once: usize,
    /// Tenants whose failing projections are tried again at once.
    pub failing_at_once: usize,
    /// First wait after a failure; doubles up to `backoff_max`.
    #[serde(with = "humantime_serde")]
    pub backoff_min: Duration,
    /// Longest wait after a failure.
    #[serde(with = "humantime_serde")]
    pub backoff_max: Duration,
    /// How many times as long as a failed try took the wait after it is at least, within `backoff_max`: what runs to its
    /// deadline each time must not hold up its tenant most of the time.
    pub backoff_share: u32,
    /// Longest wait of a query for `?after=`.
    #[serde(with = "humantime_serde")]
    pub wait_max: Duration,
    /// A projection without events of its own saves its checkpoint at least after so many of others.
    pub checkpoint_every: u64,
    /// Events that are applied a second time when a read model is built anew, to see that it comes out the same.
    pub check_events_max: u64,
}

impl Default for ProjectLimits {
    fn default() -> Self {
        Self {
            batch_events_max: 256,
            tenants_at_once: 4,
            failing_at_once: 1,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(30),
            backoff_share: 10,
            wait_max: Duration::from_secs(5),
            checkpoint_every: 1_000,
            check_events_max: 2_000,
        }
    }
}

/// How history is replayed on a candidate.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayLimits {
    /// Replays of the whole host at once; more wait.
    pub replays_at_once: usize,
    /// Threads of one replay.
    pub workers: usize,
    /// How far below the others in priority those threads stand, 0 to 19, as of `nice`: live requests come first.
    pub niceness: u8,
    /// How long such a thread rests after some milliseconds of work, in percent of them: with 200 it takes a third of a
    /// processor at most.
    pub rest_percent: u32,
    /// Aggregates looked at, those that were started last.
    pub aggregates_max: u32,
    /// Commands looked at, the last ones, of each kind: with events, without, rejected.
    pub commands_max: u32,
    /// Time for one replay; what is left then is told as skipped.
    #[serde(with = "humantime_serde")]
    pub duration_max: Duration,
    /// Events folded in one call.
    pub load_page: u32,
    /// Bytes of states that one thread keeps at hand.
    pub states_bytes_max: usize,
    /// Examples of one class of differences.
    pub examples_max: usize,
    /// Places shown of one example.
    pub differences_max: usize,
    /// From how many percent of the other's median on a candidate is slower.
    pub slower_percent: u64,
    /// Decisions that must have been measured to say so.
    pub slower_samples_min: usize,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        Self {
            replays_at_once: 1,
            workers: 1,
            niceness: 19,
            rest_percent: 200,
            aggregates_max: 10_000,
            commands_max: 10_000,
            duration_max: Duration::from_secs(300),
            load_page: 500,
            states_bytes_max: 64 << 20,
            examples_max: 10,
            differences_max: 20,
            slower_percent: 200,
            slower_samples_min: 50,
        }
    }
}

/// How modules are changed while they serve.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwapLimits {
    /// How long a request for a change waits for another change of the same tenant.
    #[serde(with = "humantime_serde")]
    pub turn_wait_max: Duration,
    /// How long such a request waits for the change to be settled before it is told how far it has come.
    #[serde(with = "humantime_serde")]
    pub answer_within: Duration,
    /// How long a release that was replaced may take over its last calls; after that it stays loaded until they end.
    #[serde(with = "humantime_serde")]
    pub drain_max: Duration,
    /// Swaps of a tenant that are listed.
    pub listed_max: usize,
    /// Faults and divergences of a canary that are told in full.
    pub divergences_kept: usize,
    /// How far below the others in priority building read models in shadow stands, 0 to 19, as of `nice`. Not the last, since
    /// what is projected live waits for each of its units of work.
    pub rebuild_niceness: u8,
    /// Time for trying the history before a rollback.
    #[serde(with = "humantime_serde")]
    pub roll_back_replay_max: Duration,
    /// For tests of power loss: the process ends itself before or after this step of a swap.
    #[serde(skip)]
    pub crash: Option<CrashPoint>,
}

impl Default for SwapLimits {
    fn default() -> Self {
        Self {
            turn_wait_max: Duration::from_secs(5),
            answer_within: Duration::from_secs(20),
            drain_max: Duration::from_secs(60),
            listed_max: 50,
            divergences_kept: 10,
            rebuild_niceness: 10,
            roll_back_replay_max: Duration::from_secs(5),
            crash: None,
        }
    }
}

/// How modules are watched.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthLimits {
    /// How often each module is asked how it is.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// Unhealthy answers in a row after which it is activated anew; the pause between tries doubles up to `restart_max`.
    pub unhealthy_in_a_row_max: u32,
    /// Longest pause between two tries to activate an unhealthy module anew.
    #[serde(with = "humantime_serde")]
    pub restart_max: Duration,
    /// Failing calls in a row after which a module is quarantined.
    pub failures_in_a_row_max: u32,
    /// First quarantine; doubles up to `quarantine_max` as long as calls fail.
    #[serde(with = "humantime_serde")]
    pub quarantine_min: Duration,
    /// Longest quarantine.
    #[serde(with = "humantime_serde")]
    pub quarantine_max: Duration,
}

impl Default for HealthLimits {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(30),
            unhealthy_in_a_row_max: 3,
            restart_max: Duration::from_secs(600),
            failures_in_a_row_max: 20,
            quarantine_min: Duration::from_secs(5),
            quarantine_max: Duration::from_secs(300),
        }
    }
}

/// What requests may be like.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Bytes of a command's body.
    pub body_bytes_max: usize,
    /// Bytes of an uploaded release.
    pub release_bytes_max: usize,
    /// Time for a whole request.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Time given to open requests when the host stops.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// Connections open at once; more wait to be accepted.
    pub connections_max: usize,
    /// How long a connection may wait for, or take over, the head of its next request.
    #[serde(with = "humantime_serde")]
    pub idle_max: Duration,
    /// Documents of one page.
    pub page_max: u32,
    /// Documents of one page when the caller does not say.
    pub page_default: u32,
    /// Verified tokens remembered.
    pub tokens_cached: u64,
    /// How often the users of one tenant together may ask; no limit when absent.
    pub tenant_rate: Option<Rate>,
    /// How often one user of a tenant may ask; no limit when absent.
    pub user_rate: Option<Rate>,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            release_bytes_max: 64 << 20,
            request_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            connections_max: 10_000,
            idle_max: Duration::from_secs(75),
            page_max: 1_000,
            page_default: 50,
            tokens_cached: 100_000,
            tenant_rate: None,
            user_rate: None,
        }
    }
}
