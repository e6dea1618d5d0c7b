//! The end of a call by a bug, with its message in the host's log.

/// Ends the call: what holds by construction does not hold, so there is no answer to give.
#[expect(
    clippy::panic,
    reason = "a trap is how a component reports its own bug; the host isolates it"
)]
#[cold]
#[track_caller]
pub(crate) fn trap(message: impl std::fmt::Display) -> ! {
    panic!("{message}")
}

/// Sends the message of every panic to the host's log, since a trap alone does not carry it. Repeating it costs nothing.
pub fn report_panics() {
    #[cfg(target_family = "wasm")]
    {
        static HOOK: std::sync::Once = std::sync::Once::new();
        HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string()))));
    }
}
