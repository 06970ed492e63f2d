//! The configuration file of a training run, with line numbers for what is wrong in it.

use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use crate::exit::{Exit, Failure};

/// A configuration file as it was read.
pub(super) struct ConfigFile<'a> {
    path: &'a Path,
    text: String,
    pub(super) table: Value,
}

/// Whether tables are settings.
type Check<'c> = &'c dyn Fn(&[Value]) -> Result<(), equidrift::Error>;

/// A setting of the file and where it stands.
struct Leaf {
    path: Vec<String>,
    value: Value,
    place: Range<usize>,
}

impl<'a> ConfigFile<'a> {
    /// Reads a TOML file. A `training.toml` of an earlier run may be used as it is: what was found in its data is no setting.
    pub(super) fn read(path: &'a Path) -> Result<Self, Failure> {
        let named = |error: &dyn std::fmt::Display| {
            Failure::message(Exit::BadInput, format_args!("{}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| named(&error))?;
        let mut table = serde_json::to_value(table).map_err(|error| named(&error))?;
        if let Some(table) = table.as_object_mut() {
            table.remove("data");
        }
        Ok(Self { path, text, table })
    }

    /// Lays the file over other settings, only to see whether `merge` finds them to be any.
    pub(super) fn check(&self, merge: Check<'_>) -> Result<(), Failure> {
        let Err(error) = merge(std::slice::from_ref(&self.table)) else { return Ok(()) };
        let failure = Failure::from(error);
        let line = self.culprit(failure.text(), merge).map_or(String::new(), |line| format!(":{line}"));
        let message = format!("{}{line}: {}", self.path.display(), failure.text());
        Err(Failure::message(failure.exit(), message))
    }

    /// Line of the first setting without which all would be well. Where more than one is wrong: of the first that the error speaks of
    /// and without which it would be another, or else of any without which it would be.
    fn culprit(&self, error: &str, merge: Check<'_>) -> Option<usize> {
        let document = DeTable::parse(&self.text).ok()?;
        let mut leaves = Vec::new();
        collect(document.get_ref(), &[], &mut leaves);
        leaves.retain(|leaf| leaf.path[0] != "data");
        let line = |leaf: &Leaf| self.text[..leaf.place.start].matches('\n').count() + 1;
        let mut others = Vec::new();
        for (number, leaf) in leaves.iter().enumerate() {
            let rest = leaves.iter().enumerate().filter(|(other, _)| *other != number);
            let Err(other) = merge(&[table_of(rest.map(|(_, leaf)| leaf))]) else { return Some(line(leaf)) };
            if Failure::from(other).text() != error {
                others.push(leaf);
            }
        }
        let named = |leaf: &&&Leaf| {
            let value = leaf.value.as_str().map_or_else(|| leaf.value.to_string(), str::to_owned);
            leaf.path.last().into_iter().chain([&value]).any(|word| error.contains(&format!("`{word}`")))
        };
        others.iter().find(named).or(others.first()).map(|leaf| line(leaf))
    }
}

/// Settings as the tables they stand in.
fn table_of<'l>(leaves: impl Iterator<Item = &'l Leaf>) -> Value {
    let mut table = json!({});
    for leaf in leaves {
        let mut place = &mut table;
        for key in &leaf.path {
            place = &mut place[key.as_str()];
        }
        *place = leaf.value.clone();
    }
    table
}

/// Every value of a table that is no table itself, in the order of the file.
fn collect(table: &DeTable<'_>, above: &[String], leaves: &mut Vec<Leaf>) {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let path = [above, &[key.get_ref().to_string()]].concat();
        match value.get_ref() {
            DeValue::Table(table) if !table.is_empty() => collect(table, &path, leaves),
            value => leaves.push(Leaf { path, value: json_of(value), place: key.span() }),
        }
    }
}

fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Boolean(value) => json!(value),
        DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
            .map_or_else(|_| json!(number.as_str()), |number| json!(number)),
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse::<f64>()
            .map_or_else(|_| json!(number.as_str()), |number| json!(number)),
        DeValue::Datetime(date) => json!(date.to_string()),
        DeValue::Array(values) => values.iter().map(|value| json_of(value.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use equidrift::training::TrainingSettings;

    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        let file = ConfigFile::read(&path).map_err(|failure| failure.text().to_owned())?;
        file.check(&|over| TrainingSettings::merge(None, over).map(drop))
            .map_err(|failure| failure.text().replace(folder.path().to_str().unwrap(), ""))
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("# a remark\nbatch = 3\nepoch = 3\nseed = 1\n", 3, "epoch"),
            ("batch = 3\n\nepochs = \"many\"\n", 3, "many"),
            ("batch = 3\n[networks.adj]\nnhid = 4\nwidth = 5\n", 4, "width"),
            ("[sampler]\norder = 3\nname = \"dpm-solver++\"\nodrer = 2\n", 4, "odrer"),
            ("schedule = \"steps\"\n", 1, "steps"),
            ("[schedule]\nfloor = 1e-5\nname = \"cosine\"\n[validation]\nfration = 0.1\n", 5, "fration"),
            ("validation = { rows = \"a\", ever = 2 }\n", 1, "ever"),
            ("atoms = [\"C\", 3]\n", 1, "invalid type"),
            ("[paths.x]\ntype = \"cosin\"\noffset = 0.1\n[paths.adj]\ntype = \"cosine\"\n", 2, "cosin"),
            (
                "[networks.x]\nmodel_type = \"ScoreNetworkX_GMH\"\nnhid = 8\n[sampling]\nnum = -5\n",
                2,
                "max_feat_num",
            ),
            ("[sampling]\nnum = -5\n[validation]\nevery = -6\n", 2, "-5"),
            ("[data]\nfile = \"x\"\n[sampling]\nnum = -5\n", 4, "-5"),
        ] {
            let message = check(text).unwrap_err();
            assert!(
                message.contains(&format!("run.toml:{line}: ")) && message.contains(word),
                "{text}{message}"
            );
        }
        check("batch = 3\n[sampler]\norder = 2\nname = \"dpm-solver++\"\n[data]\nfile = \"x\"\n").unwrap();
        check("schedule = \"cosine\"\nlearning_rate = 1_0e-3\nseed = 0x2a\n").unwrap();
    }
}
