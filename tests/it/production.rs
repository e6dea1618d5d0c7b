//! A host whose tenants have everything on servers: the profile that those use who outgrow one machine.

use millwork_tests::production::setup;
use millwork_tests::server::Setup;

/// A host with everything on files, and one with everything on servers, where they can be had.
pub(crate) fn everywhere() -> impl Iterator<Item = Setup> {
    [Some(Setup::default()), setup()].into_iter().flatten()
}
