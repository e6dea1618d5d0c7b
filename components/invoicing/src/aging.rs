//! The query `AgingReport`: what is open, by how long it is overdue.
//!
//! Amounts are those open now; a day in the past or future only changes how old they look.

use std::collections::BTreeMap;

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::timestamp::Date;
use millwork_sdk::{Query, QueryContext, QueryError, documents};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::view::COLLECTION;

/// Computes the report.
pub struct AgingReport;

/// What to report on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// Against which day due dates are held; today in UTC when absent.
    pub as_of: Option<Date>,
    /// Only this client.
    pub client_id: Option<String>,
}

/// Sums per currency, and per client and currency.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The day.
    pub as_of: Date,
    /// By code.
    pub currencies: Vec<CurrencySums>,
    /// By name, then id, then currency.
    pub clients: Vec<ClientSums>,
}

/// What is open in one currency.
#[derive(Debug, Serialize)]
pub struct CurrencySums {
    /// The currency.
    pub currency: Currency,
    /// By age.
    #[serde(flatten)]
    pub sums: Buckets,
}

/// What one client owes in one currency.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientSums {
    /// Who.
    pub client_id: String,
    /// As on the newest of the invoices.
    pub client_name: String,
    /// The currency.
    pub currency: Currency,
    /// By age.
    #[serde(flatten)]
    pub sums: Buckets,
}

/// Open amounts by days after the due date; on that day itself an invoice is not overdue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Buckets {
    /// Due on the day or later.
    #[serde(rename = "notDue")]
    pub not_due: Decimal,
    /// 1 to 30 days.
    #[serde(rename = "1-30")]
    pub to_30: Decimal,
    /// 31 to 60 days.
    #[serde(rename = "31-60")]
    pub to_60: Decimal,
    /// 61 to 90 days.
    #[serde(rename = "61-90")]
    pub to_90: Decimal,
    /// 91 to 120 days.
    #[serde(rename = "91-120")]
    pub to_120: Decimal,
    /// More than 120 days.
    #[serde(rename = "over120")]
    pub over_120: Decimal,
    /// All of them.
    pub total: Decimal,
}

impl Buckets {
    fn empty(currency: Currency) -> Self {
        let zero = currency.zero();
        Self {
            not_due: zero,
            to_30: zero,
            to_60: zero,
            to_90: zero,
            to_120: zero,
            over_120: zero,
            total: zero,
        }
    }

    fn add(&mut self, days_overdue: i64, amount: Decimal) {
        let bucket = match days_overdue {
            ..=0 => &mut self.not_due,
            1..=30 => &mut self.to_30,
            31..=60 => &mut self.to_60,
            61..=90 => &mut self.to_90,
            91..=120 => &mut self.to_120,
            _ => &mut self.over_120,
        };
        *bucket += amount;
        self.total += amount;
    }
}

/// An invoice as far as the report needs it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    client_id: String,
    client_name: String,
    currency: Currency,
    due_date: Date,
    amount_due: Decimal,
}

impl Query for AgingReport {
    const NAME: &'static str = "AgingReport";
    type Params = Params;
    type Answer = Report;

    fn answer(params: Params, ctx: &QueryContext) -> Result<Report, QueryError> {
        let as_of = params.as_of.unwrap_or_else(|| ctx.now().date());
        let mut filter = json!({ "status": { "$in": ["finalized", "partial"] } });
        if let (Some(id), Some(filter)) = (params.client_id, filter.as_object_mut()) {
            filter.insert("clientId".to_owned(), id.into());
        }
        let mut sums = Sums::default();
        documents::find(COLLECTION)
            .filter(&filter)
            .sort(&json!({ "issuedAt": 1 }))
            .fields(&["clientId", "clientName", "currency", "dueDate", "amountDue"])
            .each(|open| sums.add(open, as_of))?;
        Ok(sums.report(as_of))
    }
}

/// The report as it grows.
#[derive(Debug, Default)]
struct Sums {
    currencies: BTreeMap<Currency, Buckets>,
    clients: BTreeMap<(String, Currency), (String, Buckets)>,
}

impl Sums {
    fn add(&mut self, open: Open, as_of: Date) {
        let (days, currency) = (as_of.days_since(open.due_date), open.currency);
        let all = self
            .currencies
            .entry(currency)
            .or_insert_with(|| Buckets::empty(currency));
        all.add(days, open.amount_due);
        let client = self.clients.entry((open.client_id, currency));
        let (name, sums) = client.or_insert_with(|| (String::new(), Buckets::empty(currency)));
        *name = open.client_name;
        sums.add(days, open.amount_due);
    }

    fn report(self, as_of: Date) -> Report {
        let currencies = self
            .currencies
            .into_iter()
            .map(|(currency, sums)| CurrencySums { currency, sums });
        let clients = self
            .clients
            .into_iter()
            .map(|((client_id, currency), (client_name, sums))| ClientSums {
                client_id,
                client_name,
                currency,
                sums,
            });
        let mut clients: Vec<ClientSums> = clients.collect();
        // Stable: those of one name stay in the order of id and currency.
        clients.sort_by(|a, b| a.client_name.cmp(&b.client_name));
        Report {
            as_of,
            currencies: currencies.collect(),
            clients,
        }
    }
}
