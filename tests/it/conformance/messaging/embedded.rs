//! The embedded bus, and what only it promises: what was accepted is there after the file was closed.

use std::time::Duration;

use millwork_host::capability::messaging::Bus;
use millwork_host::capability::messaging::sqlite::{SqliteBus, SqliteBusLimits};
use tempfile::TempDir;

use super::{COMMANDS_MAX, SETTLE_WITHIN, letter, message, tenant};

pub(super) struct Embedded {
    bus: SqliteBus,
    _folder: TempDir,
}

impl Embedded {
    pub(super) fn store(&self) -> &dyn Bus {
        &self.bus
    }
}

fn open(folder: &TempDir) -> SqliteBus {
    let limits = SqliteBusLimits {
        commands_max: COMMANDS_MAX.into(),
        settle_within: SETTLE_WITHIN,
        ..SqliteBusLimits::default()
    };
    SqliteBus::open(&folder.path().join("messages.db"), limits).unwrap()
}

pub(super) async fn start() -> Embedded {
    let folder = tempfile::tempdir().unwrap();
    Embedded {
        bus: open(&folder),
        _folder: folder,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_outlives_the_bus() {
    let folder = tempfile::tempdir().unwrap();
    let of = tenant("kept");
    let bus = open(&folder);
    bus.enqueue(&of, &message("c", "client.Do")).await.unwrap();
    bus.publish(&of, &[message("e", "plugin.x.A")]).await.unwrap();
    bus.keep_checkpoint(&of, "r", 5).await.unwrap();
    let number = bus.bury(&of, &letter("a")).await.unwrap();
    drop(bus);
    let bus = open(&folder);
    let taken = bus.take(&of, 10, Duration::ZERO).await.unwrap();
    assert_eq!(taken[0].message, message("c", "client.Do"));
    assert_eq!(bus.published(&of, "plugin", 0, 10).await.unwrap().len(), 1);
    assert_eq!(bus.checkpoint(&of, "r").await.unwrap(), Some(5));
    assert_eq!(bus.letters(&of, 0, 10).await.unwrap(), [(number, letter("a"))]);
}
