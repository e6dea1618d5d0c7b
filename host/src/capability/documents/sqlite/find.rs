//! Reads of one table: SQL finds candidates in order, the filter has the last word.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::super::cursor::Cursor;
use super::super::document::check_id;
use super::super::query::fields::Fields;
use super::super::query::{Direction, Filter, Find, Sort};
use super::super::{Collection, Document, DocumentError, Page};
use super::functions;
use super::plan::{Plan, is_indexed};
use super::schema::Table;

/// One document.
pub(super) fn get(db: &Connection, table: Table, id: &str) -> Result<Option<Document>, DocumentError> {
    get_with(db, table, id, |row| Ok(parse(row)))?.transpose()
}

/// One document as it is kept: JSON text.
pub(super) fn get_text(db: &Connection, table: Table, id: &str) -> Result<Option<String>, DocumentError> {
    get_with(db, table, id, |row| row.get(0))
}

fn get_with<T>(
    db: &Connection,
    table: Table,
    id: &str,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, DocumentError> {
    check_id(id)?;
    let mut select = db.prepare_cached(&format!("SELECT body FROM {table} WHERE id = ?1"))?;
    Ok(select.query_row([id], read).optional()?)
}

/// One page.
pub(super) fn find(
    db: &Connection,
    table: Table,
    of: &Collection,
    find: &Find,
) -> Result<Page, DocumentError> {
    find.check()?;
    let fields = Fields::parse(&find.fields)?;
    let filter = find.within_scope();
    let search = Search::new(table, of, &filter, &find.sort);
    let mut pass = match find.cursor {
        None => find.skip,
        Some(_) => 0,
    };
    // One more than asked for tells whether there is a next page.
    let mut rows = Rows {
        of,
        filter: &filter,
        exact: search.plan.exact,
        documents: Vec::new(),
        wanted: find.limit + 1,
    };
    match &find.cursor {
        None => rows.read(db, &search.first(find.skip + find.limit + 1), &mut pass)?,
        Some(text) => {
            let cursor = Cursor::parse(text, of, &filter, &find.sort)?;
            for statement in search.after(&cursor, find.limit + 1) {
                rows.read(db, &statement, &mut pass)?;
            }
        }
    }
    let mut documents = rows.documents;
    let more = documents.len() > find.limit as usize;
    documents.truncate(find.limit as usize);
    let last = documents.last().filter(|_| more);
    let next = last.map(|last| Cursor::after(last, &find.sort, of).to_text(of, &filter, &find.sort));
    Ok(Page {
        documents: documents
            .into_iter()
            .map(|document| fields.of(document))
            .collect(),
        next,
    })
}

/// How many match.
pub(super) fn count(
    db: &Connection,
    table: Table,
    of: &Collection,
    find: &Find,
) -> Result<u64, DocumentError> {
    let filter = find.within_scope();
    let plan = Plan::new(&filter.node, of);
    let conditions = where_clause(&plan.conditions);
    if plan.exact {
        let sql = format!("SELECT count(*) FROM {table}{conditions}");
        let count: i64 = db
            .prepare_cached(&sql)?
            .query_row(params_from_iter(plan.params), |row| row.get(0))?;
        return Ok(count.unsigned_abs());
    }
    let mut statement = db.prepare_cached(&format!("SELECT body FROM {table}{conditions}"))?;
    let mut rows = statement.query(params_from_iter(plan.params))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += u64::from(filter.matches(&parse(row)?, &of.decimals));
    }
    Ok(count)
}

/// What is looked for in which order, in SQL.
struct Search {
    table: Table,
    plan: Plan,
    /// Expressions, most significant first, the id last.
    order: Vec<(String, Direction)>,
}

struct Statement {
    sql: String,
    params: Vec<Value>,
}

impl Search {
    fn new(table: Table, of: &Collection, filter: &Filter, sort: &Sort) -> Self {
        let mut order = Vec::with_capacity(sort.fields.len() + 1);
        for (path, direction) in &sort.fields {
            let reading = path.reading("", &of.decimals);
            let expression = match is_indexed(path, of) {
                true => functions::indexed(path.as_str(), reading),
                false => functions::sorted(path.as_str(), reading, *direction),
            };
            order.push((expression, *direction));
        }
        order.push(("id".to_owned(), sort.id));
        Self {
            table,
            plan: Plan::new(&filter.node, of),
            order,
        }
    }

    fn first(&self, rows: u32) -> Statement {
        self.statement(self.plan.clone(), rows)
    }

    /// What follows a place, in parts that an index can serve: equal in all but the last field and beyond in that one,
    /// then equal in one field less, and so on.
    fn after(&self, cursor: &Cursor, rows: u32) -> Vec<Statement> {
        let keys = cursor
            .keys
            .iter()
            .map(|key| Value::Blob(key.clone()))
            .chain([Value::Text(cursor.id.clone())]);
        let fixed = &self.plan.fixed;
        let place: Vec<_> = self
            .order
            .iter()
            .zip(keys)
            .filter(|((by, _), _)| !fixed.contains(by))
            .collect();
        let mut statements = Vec::with_capacity(place.len());
        for equal in (0..place.len()).rev() {
            let mut plan = self.plan.clone();
            for (at, ((expression, direction), key)) in place.iter().take(equal + 1).enumerate() {
                let operator = match direction {
                    _ if at < equal => "=",
                    Direction::Ascending => ">",
                    Direction::Descending => "<",
                };
                plan.condition(expression, operator, key.clone());
                if at < equal {
                    plan.fixed.push(expression.clone());
                }
            }
            statements.push(self.statement(plan, rows));
        }
        statements
    }

    fn statement(&self, mut plan: Plan, rows: u32) -> Statement {
        let sorted = self.order.iter().filter(|(by, _)| !plan.fixed.contains(by));
        let order: Vec<_> = sorted.map(|(by, way)| format!("{by} {}", way.sql())).collect();
        let conditions = where_clause(&plan.conditions);
        let mut sql = format!(
            "SELECT body FROM {}{conditions} ORDER BY {}",
            self.table,
            order.join(", ")
        );
        if plan.exact {
            sql.push_str(" LIMIT ?");
            plan.params.push(Value::Integer(rows.into()));
        }
        Statement {
            sql,
            params: plan.params,
        }
    }
}

impl Direction {
    fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
}

/// Collects the documents that match.
struct Rows<'a> {
    of: &'a Collection,
    filter: &'a Filter,
    exact: bool,
    documents: Vec<Document>,
    wanted: u32,
}

impl Rows<'_> {
    /// Reads until enough are there; the first `pass` that match are passed over.
    fn read(&mut self, db: &Connection, statement: &Statement, pass: &mut u32) -> Result<(), DocumentError> {
        let mut prepared = db.prepare_cached(&statement.sql)?;
        let mut rows = prepared.query(params_from_iter(&statement.params))?;
        while self.documents.len() < self.wanted as usize
            && let Some(row) = rows.next()?
        {
            if self.exact && *pass > 0 {
                *pass -= 1;
                continue;
            }
            let document = parse(row)?;
            match self.exact || self.filter.matches(&document, &self.of.decimals) {
                true if *pass > 0 => *pass -= 1,
                true => self.documents.push(document),
                false => {}
            }
        }
        Ok(())
    }
}

fn where_clause(conditions: &[String]) -> String {
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

fn parse(row: &Row<'_>) -> Result<Document, DocumentError> {
    let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
    serde_json::from_str(body)
        .map_err(|error| DocumentError::Failed(format!("a document cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::Line;
    use super::super::super::query::Scope;
    use super::super::{functions, schema};
    use super::*;

    fn collection() -> Collection {
        let indexes = [&["status", "due"] as &[_], &["total"], &["it's"]];
        Collection {
            module: "sales".to_owned(),
            name: "invoices".to_owned(),
            decimals: vec!["total".to_owned()],
            indexes: indexes
                .iter()
                .map(|fields| fields.iter().map(|field| (*field).to_owned()).collect())
                .collect(),
        }
    }

    /// How SQLite goes about a find: its own words, joined.
    fn plan(filter: &serde_json::Value, sort: &str, cursor: Option<&Cursor>) -> Vec<String> {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(schema::MIGRATIONS[0]).unwrap();
        functions::register(&db).unwrap();
        let of = collection();
        schema::prepare(&db, &of).unwrap();
        let sort = Sort::parse_text(sort).unwrap();
        let find = Find {
            sort,
            ..Find::new(Filter::parse(filter).unwrap(), Scope::whole_tenant(), 10)
        };
        let filter = find.within_scope();
        let search = Search::new(Table::of(&db, &of, Line::Live).unwrap(), &of, &filter, &find.sort);
        let statements = cursor.map_or_else(|| vec![search.first(10)], |cursor| search.after(cursor, 10));
        let explain = |statement: &Statement| {
            let mut explained = db
                .prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql))
                .unwrap();
            let rows = explained
                .query_map(params_from_iter(&statement.params), |row| row.get::<_, String>(3))
                .unwrap();
            rows.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
        };
        statements.iter().map(explain).collect()
    }

    /// Checks that an index finds the documents and that nothing is sorted.
    fn check(filter: serde_json::Value, sort: &str, used: &str) {
        let plan = plan(&filter, sort, None).remove(0);
        assert!(
            plan.starts_with("SEARCH") || used.is_empty() && plan.starts_with("SCAN"),
            "{filter} by {sort:?}: {plan}"
        );
        assert!(
            plan.contains("USING INDEX") && plan.contains(used),
            "{filter} by {sort:?}: {plan}"
        );
        assert!(!plan.contains("TEMP B-TREE"), "{filter} by {sort:?}: {plan}");
    }

    #[test]
    fn declared_indexes_serve() {
        check(json!({"status": "open"}), "due", "(<expr>=?)");
        check(json!({"status": "open"}), "-due", "(<expr>=?)");
        check(json!({"status": "open"}), "-status,-due", "(<expr>=?)");
        check(json!({"status": "open", "due": 3}), "", "(<expr>=? AND <expr>=?)");
        check(
            json!({"status": "open", "due": {"$gte": 1, "$lt": 5}}),
            "due",
            "(<expr>=? AND <expr>>? AND <expr><?)",
        );
        check(
            json!({"total": {"$gt": "10"}, "x": {"$regex": "y"}}),
            "total",
            "(<expr>>? AND <expr><?)",
        );
        check(json!({"it's": 5}), "", "(<expr>=?)");
        check(json!({}), "total", "");
        check(json!({}), "-total", "");
        check(json!({}), "status,due", "");
        check(json!({"_id": {"$gt": "a"}}), "", "(id>?)");
    }

    #[test]
    fn the_next_page_starts_where_the_last_one_ended() {
        let cursor = Cursor {
            keys: vec![vec![0x20, 1]],
            id: "a".to_owned(),
        };
        for (filter, places) in [
            (json!({}), ["(<expr>=? AND id>?)", "(<expr>>?)"]),
            (
                json!({"total": {"$gt": 0}}),
                ["(<expr>=? AND id>?)", "(<expr>>? AND <expr><?)"],
            ),
        ] {
            let plans = plan(&filter, "total", Some(&cursor));
            for (plan, place) in plans.iter().zip(places) {
                assert!(
                    plan.starts_with("SEARCH") && plan.contains(place) && !plan.contains("TEMP"),
                    "{filter}: {plans:?}"
                );
            }
        }
        let plans = plan(&json!({"status": "open"}), "-due", Some(&cursor));
        assert!(
            plans[0].contains("(<expr>=? AND <expr>=? AND id<?)") && !plans[0].contains("TEMP"),
            "{plans:?}"
        );
        assert!(
            plans[1].contains("(<expr>=? AND <expr><?)") && !plans[1].contains("TEMP"),
            "{plans:?}"
        );
    }
}
