//! A server's process, and all that it starts, as a group of their own. A watchdog holds the reading end of a pipe from
//! this process: when that ends, however it ends, the pipe closes, and the watchdog kills the group.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Launch;
use crate::poll;

/// The file in a server's folder that takes what it prints.
pub(super) const LOG: &str = "log";

/// `$1` is the group, `$2` its folder. A line says that the group was ended in good order.
const WATCHDOG: &str = r#"
if read -r ended; then exit; fi
kill -s KILL -- "-$1"
for try in 1 2 3 4 5; do rm -rf -- "$2" && exit; sleep 1; done
"#;

/// See the module. Dropped, the group is killed.
pub(super) struct Process {
    server: Child,
    watchdog: Child,
    /// What the watchdog reads.
    pipe: Option<ChildStdin>,
}

impl Process {
    /// Starts a program in this folder.
    pub(super) fn start(program: &Path, launch: &Launch, folder: &Path) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join(LOG))
            .expect("a file for the log");
        let server = Command::new(program)
            .args(&launch.arguments)
            .envs(launch.variables.iter().cloned())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log a second time"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &server.id().to_string()])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the keyboard ends the tests, and must not end who cleans up after them.
            .process_group(0)
            .spawn()
            .expect("sh");
        let pipe = watchdog.stdin.take();
        Self {
            server,
            watchdog,
            pipe,
        }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.server.try_wait().expect("its status").is_some()
    }

    /// Kills the group, and waits until the server is gone.
    pub(super) fn kill(self) {
        drop(self);
    }

    /// Asks the group to end, and waits until the server has.
    pub(super) fn stop(mut self) {
        self.signal(Signal::TERM);
        poll::within(poll::WITHIN_LONG, "the server ends when asked", || {
            self.has_ended().then_some(())
        });
    }

    /// Holds the group still.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself, which is what the test will find.
        let _ = kill_process_group(Pid::from_child(&self.server), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // The watchdog goes before the server's number is given back and could become somebody else's.
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"ended\n");
        }
        let _ = self.watchdog.wait();
        let _ = self.server.wait();
    }
}
