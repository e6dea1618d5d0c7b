//! What components are linked against: everything granted for calls with effects, and next to nothing for pure ones.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, ResourceType};
use wasmtime::{Engine, Result};

use super::call::{Call, Impure};
use crate::bindings::Bucket;
use crate::bindings::imports::millwork::{blobs, cache, documents, messaging, platform, search};
use crate::bindings::standard::wasi::{config, keyvalue, logging};
use crate::capability::blobs::component::BlobsCall;
use crate::capability::cache::component::CacheCall;
use crate::capability::cache::keyvalue::HasKeyvalue;
use crate::capability::documents::component::DocumentsCall;
use crate::capability::messaging::component::MessagingCall;
use crate::capability::platform::PlatformCall;
use crate::capability::search::component::SearchCall;
use crate::capability::wasi_config::ConfigCall;

/// What pure calls may call.
const LOGS: [&str; 2] = ["millwork:platform/log@", "wasi:logging/"];
/// Interfaces of WASI that are this host's own: capabilities like any other.
const STANDARD: [&str; 3] = ["wasi:keyvalue/", "wasi:config/", "wasi:logging/"];
/// What a manifest can ask for, and a tenant consent to, before this host gives it.
const NOT_GIVEN: &str = "wasi:http/";

/// For calls with effects: every capability, each of which looks at the call's grants; WASI without files, arguments,
/// environment or sockets.
pub(super) fn effects(engine: &Engine) -> Result<Linker<Call>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    platform::log::add_to_linker::<_, HasSelf<PlatformCall>>(&mut linker, |call: &mut Call| {
        &mut call.platform
    })?;
    platform::clock::add_to_linker::<_, HasSelf<PlatformCall>>(&mut linker, |call: &mut Call| {
        &mut call.platform
    })?;
    platform::random::add_to_linker::<_, HasSelf<PlatformCall>>(&mut linker, |call: &mut Call| {
        &mut call.platform
    })?;
    documents::documents::add_to_linker::<_, HasSelf<DocumentsCall>>(&mut linker, Call::documents)?;
    cache::cache::add_to_linker::<_, HasSelf<CacheCall>>(&mut linker, Call::cache)?;
    search::search::add_to_linker::<_, HasSelf<SearchCall>>(&mut linker, Call::search)?;
    blobs::blobs::add_to_linker::<_, HasSelf<BlobsCall>>(&mut linker, Call::blobs)?;
    messaging::events::add_to_linker::<_, HasSelf<MessagingCall>>(&mut linker, Call::messaging)?;
    messaging::commands::add_to_linker::<_, HasSelf<MessagingCall>>(&mut linker, Call::messaging)?;
    messaging::requests::add_to_linker::<_, HasSelf<MessagingCall>>(&mut linker, Call::messaging)?;
    keyvalue::store::add_to_linker::<_, HasKeyvalue>(&mut linker, Call::keyvalue)?;
    keyvalue::atomics::add_to_linker::<_, HasKeyvalue>(&mut linker, Call::keyvalue)?;
    config::store::add_to_linker::<_, HasSelf<ConfigCall>>(&mut linker, Call::config)?;
    logging::logging::add_to_linker::<_, HasSelf<PlatformCall>>(&mut linker, |call: &mut Call| {
        &mut call.platform
    })?;
    Ok(linker)
}

/// For pure calls of one component: the log, WASI whose clock stands still and whose randomness is fixed if it imports
/// WASI, and in the place of every other import a function that ends the call.
pub(super) fn pure(engine: &Engine, component: &Component) -> Result<Linker<Call>> {
    let mut linker = Linker::new(engine);
    platform::log::add_to_linker::<_, HasSelf<PlatformCall>>(&mut linker, |call: &mut Call| {
        &mut call.platform
    })?;
    logging::logging::add_to_linker::<_, HasSelf<PlatformCall>>(&mut linker, |call: &mut Call| {
        &mut call.platform
    })?;
    if imports_wasi(engine, component) {
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    }
    for (name, item) in component.component_type().imports(engine) {
        if let ComponentItem::ComponentInstance(instance) = item.ty
            && !LOGS.iter().any(|log| name.starts_with(log))
            && !is_wasi(name)
        {
            for (resource, item) in instance.exports(engine) {
                if let ComponentItem::Resource(_) = item.ty {
                    let ty = ResourceType::host::<Bucket>();
                    linker.instance(name)?.resource(resource, ty, |_, _| Ok(()))?;
                }
            }
            let functions = instance.exports(engine).filter_map(|(function, item)| {
                matches!(item.ty, ComponentItem::ComponentFunc(_)).then(|| function.to_owned())
            });
            refuse(&mut linker, name, functions)?;
        }
    }
    Ok(linker)
}

/// Whether a component was built with a toolchain that needs WASI.
pub(super) fn imports_wasi(engine: &Engine, component: &Component) -> bool {
    component
        .component_type()
        .imports(engine)
        .any(|(name, _)| is_wasi(name))
}

/// Whether an interface is one of WASI's that toolchains import unasked.
fn is_wasi(interface: &str) -> bool {
    interface.starts_with("wasi:") && !STANDARD.iter().any(|own| interface.starts_with(own))
}

/// Imports that are known and that this host has nothing behind.
pub(super) fn not_given(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let names = ty.imports(engine).map(|(name, _)| name);
    names
        .filter(|name| name.starts_with(NOT_GIVEN))
        .map(str::to_owned)
        .collect()
}

fn refuse(linker: &mut Linker<Call>, interface: &str, functions: impl Iterator<Item = String>) -> Result<()> {
    for function in functions {
        let import = format!("{interface}#{function}");
        let refusal = move |_: wasmtime::StoreContextMut<'_, Call>, _, _: &[_], _: &mut [_]| {
            Err(Impure {
                import: import.clone(),
            }
            .into())
        };
        linker.instance(interface)?.func_new(&function, refusal)?;
    }
    Ok(())
}
