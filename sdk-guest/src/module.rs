//! The macro that makes a component of traits.

/// Exports a module: names its parts, each kind optional, in this order, each list followed by a comma.
///
/// ```text
/// millwork_sdk::module! {
///     aggregates: [Invoice, ReceivablesAccount],
///     projections: [Invoices],
///     queries: [AgingReport],
///     subscriptions: [Welcome],
///     lifecycle: Invoicing,
/// }
/// ```
///
/// Only interfaces of the kinds given are exported, and `lifecycle` always. Where it stands it also defines
/// `pub fn describe() -> String`, which gives the names of all parts as JSON: the host, and a test, hold it against the
/// manifest.
#[macro_export]
macro_rules! module {
    (
        $(aggregates: [$($aggregate:ty),+ $(,)?],)?
        $(projections: [$($projection:ty),+ $(,)?],)?
        $(queries: [$($query:ty),+ $(,)?],)?
        $(subscriptions: [$($subscription:ty),+ $(,)?],)?
        $(lifecycle: $lifecycle:ty,)?
    ) => {
        /// Names of this component's parts as JSON, for the host to hold against the manifest.
        #[must_use]
        pub fn describe() -> ::std::string::String {
            $crate::glue::describe(
                ::std::vec![$($($crate::glue::describe_aggregate::<$aggregate>()),+)?],
                &[$($(<$projection as $crate::Projection>::NAME),+)?],
                &[$($(<$query as $crate::Query>::NAME),+)?],
                &[$($(<$subscription as $crate::Subscription>::NAME),+)?],
            )
        }

        #[allow(unsafe_code, dead_code, reason = "generated glue of the canonical ABI, used in Wasm only")]
        const _: () = {
            struct Component;
            $($crate::__aggregates!(Component, $($aggregate),+);)?
            $($crate::__projections!(Component, $($projection),+);)?
            $($crate::__queries!(Component, $($query),+);)?
            $($crate::__subscriptions!(Component, $($subscription),+);)?
            $crate::__lifecycle!(Component, $($lifecycle)?);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __aggregates {
    ($component:ident, $($aggregate:ty),+) => {
        impl $crate::bindings::aggregates::exports::millwork::module::aggregates::Guest for $component {
            fn decide(
                target: $crate::wit::Subject,
                related: ::std::vec::Vec<$crate::wit::Subject>,
                command: $crate::wit::Command,
                context: $crate::wit::Context,
            ) -> ::std::result::Result<
                $crate::bindings::aggregates::exports::millwork::module::aggregates::Decision,
                $crate::wit::Rejection,
            > {
                $crate::report_panics();
                $(if target.of.aggregate == <$aggregate as $crate::Aggregate>::NAME {
                    return $crate::glue::decide::<$aggregate>(target, related, command, context);
                })+
                $crate::glue::unknown("aggregate", &target.of.aggregate)
            }

            fn evolve(
                of: $crate::wit::Subject,
                events: ::std::vec::Vec<$crate::wit::Event>,
            ) -> ::std::string::String {
                $crate::report_panics();
                $(if of.of.aggregate == <$aggregate as $crate::Aggregate>::NAME {
                    return $crate::glue::evolve::<$aggregate>(&of, &events);
                })+
                $crate::glue::unknown("aggregate", &of.of.aggregate)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::aggregates::export_aggregates!($component with_types_in $crate::bindings::aggregates);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __projections {
    ($component:ident, $($projection:ty),+) => {
        impl $crate::bindings::projections::exports::millwork::module::projections::Guest for $component {
            fn apply(projection: ::std::string::String, events: ::std::vec::Vec<$crate::wit::Event>) {
                $crate::report_panics();
                $(if projection == <$projection as $crate::Projection>::NAME {
                    return $crate::glue::apply::<$projection>(events);
                })+
                $crate::glue::unknown("projection", &projection)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::projections::export_projections!($component with_types_in $crate::bindings::projections);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __queries {
    ($component:ident, $($query:ty),+) => {
        impl $crate::bindings::queries::exports::millwork::module::queries::Guest for $component {
            fn answer(
                query: ::std::string::String,
                params: ::std::string::String,
                context: $crate::wit::Context,
            ) -> ::std::result::Result<::std::string::String, $crate::wit::Rejection> {
                $crate::report_panics();
                $(if query == <$query as $crate::Query>::NAME {
                    return $crate::glue::answer::<$query>(&params, context);
                })+
                $crate::glue::unknown("query", &query)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::queries::export_queries!($component with_types_in $crate::bindings::queries);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __subscriptions {
    ($component:ident, $($subscription:ty),+) => {
        impl $crate::bindings::subscriptions::exports::millwork::module::subscriptions::Guest for $component {
            fn handle(
                subscription: ::std::string::String,
                event: $crate::wit::Event,
                context: $crate::wit::Context,
            ) -> $crate::bindings::subscriptions::exports::millwork::module::subscriptions::Outcome {
                $crate::report_panics();
                $(if subscription == <$subscription as $crate::Subscription>::NAME {
                    return $crate::glue::handle::<$subscription>(event, context);
                })+
                $crate::glue::unknown("subscription", &subscription)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::subscriptions::export_subscriptions!($component with_types_in $crate::bindings::subscriptions);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __lifecycle {
    ($component:ident, ) => {
        $crate::__lifecycle!($component, $crate::NoLifecycle);
    };
    ($component:ident, $lifecycle:ty) => {
        impl $crate::bindings::lifecycle::exports::millwork::module::lifecycle::Guest for $component {
            fn activate(
                previous: ::std::option::Option<::std::string::String>,
            ) -> ::std::result::Result<(), $crate::wit::Failure> {
                $crate::report_panics();
                <$lifecycle as $crate::Lifecycle>::activate(previous.as_deref())
            }

            fn deactivate() -> ::std::result::Result<(), $crate::wit::Failure> {
                $crate::report_panics();
                <$lifecycle as $crate::Lifecycle>::deactivate()
            }

            fn health() -> ::std::result::Result<(), ::std::string::String> {
                $crate::report_panics();
                <$lifecycle as $crate::Lifecycle>::health()
            }

            fn describe() -> ::std::string::String {
                $crate::report_panics();
                self::describe()
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::bindings::lifecycle::export_lifecycle!($component with_types_in $crate::bindings::lifecycle);
    };
}
