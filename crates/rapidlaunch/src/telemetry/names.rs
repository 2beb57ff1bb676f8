//! Every metric: its name, its kind and what it says. `docs/observability.md` lists the same.

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
}

/// Makes the names with a list of them all.
macro_rules! metrics {
    ($($kind:ident $constant:ident = $name:literal, $help:literal;)*) => {
        $(#[doc = $help] pub(crate) const $constant: &str = $name;)*
        /// Every metric.
        pub(crate) const ALL: &[Metric] = &[$(Metric { kind: Kind::$kind, name: $name, help: $help }),*];
    };
}

metrics! {
    Gauge OPERATIONS = "rapidlaunch_operations", "Unfinished operations, by kind and state.";
    Counter OPERATIONS_ENDED = "rapidlaunch_operations_ended_total", "Operations that ended while this process followed, by kind and state.";
    Gauge JOBS = "rapidlaunch_jobs", "Jobs of unfinished operations, by state.";
    Gauge QUEUE = "rapidlaunch_queue_jobs", "Jobs of the store by what they wait for.";
    Gauge QUEUE_OLDEST = "rapidlaunch_queue_oldest_ready_seconds", "How long the job that waits longest has been ready.";
    Histogram JOB_WAIT = "rapidlaunch_job_wait_seconds", "How long jobs had been ready when they were claimed here.";
    Counter CLAIMED = "rapidlaunch_jobs_claimed_total", "Jobs claimed by this process; again counted when claimed again.";
    Gauge RUNNING = "rapidlaunch_jobs_running", "Jobs that run in this process.";
    Counter LEASES_LOST = "rapidlaunch_leases_lost_total", "Running jobs of this process that went to another holder.";
    Counter LATE_WRITES = "rapidlaunch_late_writes_total", "Writes of this process that were refused because the job was somebody else's by then.";
    Counter OUTAGES = "rapidlaunch_store_outages_total", "Times the engine could not reach the store any more.";
    Counter PANICS = "rapidlaunch_step_panics_total", "Steps that panicked.";
    Counter BEATS = "rapidlaunch_heartbeats_total", "Heartbeats of this process that the store has taken.";
    Counter STEPS = "rapidlaunch_steps_total", "Attempts at steps, by kind of job, step, direction and result.";
    Histogram STEP_SECONDS = "rapidlaunch_step_seconds", "How long attempts at steps took, by kind of job and step.";
    Gauge LEASES_HELD = "rapidlaunch_leases_held", "VMIDs, MACs and addresses that are held or rest after their release, by site.";
    Gauge LEASES_FREE = "rapidlaunch_leases_free", "VMIDs and addresses that may still be leased, by site.";
    Counter CALLS = "rapidlaunch_proxmox_calls_total", "Calls to Proxmox by site, node, kind and HTTP status.";
    Histogram CALL_SECONDS = "rapidlaunch_proxmox_call_seconds", "How long calls to Proxmox took, by site and kind.";
    Gauge SITE_CONNECTED = "rapidlaunch_site_connected", "1 for a site that this process can call, 0 for one whose token or certificate cannot be used.";
    Gauge DRIFT = "rapidlaunch_drift_items", "Items that no longer matched the last apply when a stack was last compared.";
    Gauge DRIFT_AT = "rapidlaunch_drift_checked_timestamp_seconds", "When a stack was last compared with what was applied.";
    Gauge PROOF_OK = "rapidlaunch_proof_ok", "1 when the last proof of a stack found everything as declared.";
    Gauge PROOF_AT = "rapidlaunch_proof_timestamp_seconds", "When a stack was last proven.";
    Counter DNS_ANSWERS = "rapidlaunch_dns_answers_total", "Answers of the built-in DNS server, by code.";
    Counter DNS_UPDATES = "rapidlaunch_dns_updates_total", "Changes sent to DNS providers, by result.";
    Gauge AGENTS = "rapidlaunch_agents", "Agents of nodes, by whether they have given a sign of life lately.";
    Gauge AGENT_SEEN = "rapidlaunch_agent_last_seen_timestamp_seconds", "When an agent last gave a sign of life, by site and node.";
    Counter HTTP = "rapidlaunch_http_requests_total", "Requests to the API, by route, method and status.";
    Histogram HTTP_SECONDS = "rapidlaunch_http_request_seconds", "Time until the head of the answer was ready, by route and method.";
    Counter HTTP_REFUSED = "rapidlaunch_http_refused_total", "Connections and requests that were refused for a limit, by limit.";
    Gauge CONNECTIONS = "rapidlaunch_http_connections", "Open connections of the API.";
    Gauge FOLLOWERS = "rapidlaunch_event_followers", "Open streams of events.";
    Counter WEBHOOKS = "rapidlaunch_webhook_deliveries_total", "Tries to deliver to webhooks by this process, by result.";
    Gauge WEBHOOKS_PENDING = "rapidlaunch_webhook_deliveries_pending", "Deliveries to webhooks that wait.";
    Counter COMMITS = "rapidlaunch_store_commits_total", "Commits of this process; concurrent writes share one.";
    Histogram COMMIT_SECONDS = "rapidlaunch_store_commit_seconds", "How long commits took until they were on disk.";
    Gauge STORE_UP = "rapidlaunch_store_up", "1 when the store answered the last time it was asked for these figures.";
    Gauge READY = "rapidlaunch_ready", "1 when this process is ready, as /readyz says.";
    Gauge BUILD = "rapidlaunch_build_info", "Always 1; which release runs, and on which kind of store.";
    Gauge MEMORY = "process_resident_memory_bytes", "Memory of this process.";
    Gauge FILES = "process_open_fds", "Open file descriptors of this process.";
    Gauge FILES_MAX = "process_max_fds", "Most file descriptors this process may have open.";
    Counter PROCESSOR = "process_cpu_seconds_total", "Processor time of this process.";
    Gauge STARTED = "process_start_time_seconds", "When this process was started.";
}

/// Limits that refuse connections or requests, as [`HTTP_REFUSED`] names them.
pub(crate) const LIMITS: [&str; 5] = ["connections", "connections_of_address", "handshake", "rate", "followers"];

/// Lets counters begin at 0 that may never count anything: what is not there cannot be compared with.
pub(super) fn begin() {
    for limit in LIMITS {
        metrics::counter!(HTTP_REFUSED, "why" => limit).increment(0);
    }
    for result in ["done", "conflict", "refused", "unanswered"] {
        metrics::counter!(DNS_UPDATES, "result" => result).increment(0);
    }
    for result in ["delivered", "retried", "failed"] {
        metrics::counter!(WEBHOOKS, "result" => result).increment(0);
    }
    metrics::counter!(DNS_ANSWERS, "code" => "noerror").increment(0);
    for state in ["done", "failed", "stuck", "cancelled"] {
        metrics::counter!(OPERATIONS_ENDED, "kind" => "apply", "state" => state).increment(0);
    }
}

/// Tells the recorder what each metric is.
pub(super) fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}
