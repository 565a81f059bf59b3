//! The sources of configuration and their order: flag, environment, file, default.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::Value;

use super::check::check;
use super::error::{Error, Problem, suggestion};
use super::lines::File;
use super::overlay::Overlay;
use super::settings::{Config, Item, Section};
use super::value::Provider;

/// What was said on the command line; it wins over everything else.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    values: Vec<(&'static str, &'static str, Value)>,
}

impl Flags {
    /// Sets a key, if the flag was given.
    #[must_use]
    pub fn with<T: Into<Value>>(
        mut self,
        flag: &'static str,
        key: &'static str,
        value: Option<T>,
    ) -> Self {
        self.values.extend(value.map(|value| (flag, key, value.into())));
        self
    }
}

/// A configuration, and where its keys come from.
#[derive(Debug)]
pub struct Loaded {
    /// What applies.
    pub config: Config,
    figment: Figment,
    file: Option<(PathBuf, File)>,
}

/// How environment variables that are configuration begin.
const PREFIX: &str = "STEADFAST_";

/// The name of the lowest source.
const DEFAULT: &str = "default";

/// Reads the configuration. `environment` is that of the process; of it, only variables that
/// begin with `STEADFAST_` and have a double underscore are configuration:
/// `STEADFAST_LIMITS__ORDER` is `limits.order`, `STEADFAST__LISTEN` is `listen`.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(
    flags: &Flags,
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Error> {
    let internal =
        |error: Box<figment::Error>| Error::Invalid(vec![Problem::new("", error.to_string())]);
    let mut figment = Figment::new();
    let mut problems = Vec::new();
    let known = Known::new();

    figment = figment.merge(Overlay::of(DEFAULT, Config::default()).map_err(internal)?);
    let file = path.map(|path| File::read(path).map(|file| (path.to_owned(), file))).transpose()?;
    if let Some((path, file)) = &file {
        known.check_table(&file.table, "", &mut problems);
        for problem in &mut problems {
            problem.origin = Some(place(path, file, &problem.key));
        }
        let overlay = Overlay::of(path.display().to_string(), &file.table).map_err(internal)?;
        figment = figment.merge(overlay);
    }
    let mut variables: Vec<(String, String)> = environment.collect();
    variables.sort();
    for (name, value) in variables {
        let Some(key) = variable_key(&name) else {
            continue;
        };
        let source = format!("environment variable {name}");
        if let Some(what) = known.problem_with(&key) {
            problems.push(Problem { key, origin: Some(source), what });
            continue;
        }
        let path: Vec<&str> = key.split('.').collect();
        // Reading text as a value cannot fail: what is nothing else is a string.
        let value = value.parse().unwrap_or_else(|_| Value::from(value.as_str()));
        figment = figment.merge(Overlay::named(source).with(&path, value));
    }
    for (flag, key, value) in &flags.values {
        let path: Vec<&str> = key.split('.').collect();
        figment = figment.merge(Overlay::named(*flag).with(&path, value.clone()));
    }

    let before = problems.len();
    let config = Config::read(&figment, "", &mut problems);
    let mut loaded = Loaded { config, figment, file };
    if problems.is_empty() {
        problems = check(&loaded.config);
    }
    // Unknown keys come first and know their place already.
    for problem in problems.iter_mut().skip(before) {
        problem.origin = loaded.origin(&problem.key).filter(|origin| origin != DEFAULT);
    }
    if problems.is_empty() {
        // A relative directory is meant from where the command was given.
        loaded.config.data = loaded.config.data.components().collect();
        Ok(loaded)
    } else {
        Err(Error::Invalid(problems))
    }
}

impl Loaded {
    /// Where a key's value comes from: a file with a line, a variable, a flag, or `default`.
    pub fn origin(&self, key: &str) -> Option<String> {
        let name = self.figment.find_metadata(key)?.name.to_string();
        match &self.file {
            Some((path, file)) if path.display().to_string() == name => {
                Some(place(path, file, key))
            }
            _ => Some(name),
        }
    }
}

fn place(path: &Path, file: &File, key: &str) -> String {
    match file.lines.get(key) {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}

/// The key that an environment variable stands for, if it is configuration at all.
fn variable_key(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    let key = match rest.strip_prefix('_') {
        Some(top) => top.to_owned(),
        None if rest.contains("__") => rest.replace("__", "."),
        None => return None,
    };
    Some(key.to_ascii_lowercase())
}

/// All keys and sections.
struct Known {
    keys: BTreeSet<String>,
    sections: BTreeSet<String>,
}

impl Known {
    fn new() -> Self {
        let (mut keys, mut sections) = (BTreeSet::new(), BTreeSet::new());
        Config::default().visit("", &mut |item| {
            match item {
                Item::Value { path, .. } => keys.insert(path),
                Item::Section { path, .. } => sections.insert(path),
            };
        });
        Self { keys, sections }
    }

    /// What is wrong with the name of a key that is set, if anything.
    fn problem_with(&self, key: &str) -> Option<String> {
        if self.keys.contains(key) {
            return None;
        }
        if self.sections.contains(key) {
            return Some("this is a section; set the keys within it".to_owned());
        }
        let known = || self.keys.iter().chain(&self.sections).map(String::as_str);
        let mut hint = suggestion(key, known());
        if hint.is_empty() {
            // Perhaps the right name in the wrong section.
            let last = |path: &'_ str| path.rsplit('.').next().unwrap_or_default().to_owned();
            let same = known().find(|name| last(name) == last(key));
            hint = same.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
        }
        Some(format!("there is no such key{hint}"))
    }

    fn check_table(&self, table: &toml::Table, path: &str, problems: &mut Vec<Problem>) {
        for (name, value) in table {
            let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                toml::Value::Table(inner) if self.sections.contains(&key) => {
                    self.check_table(inner, &key, problems);
                }
                _ => problems.extend(self.problem_with(&key).map(|what| Problem::new(key, what))),
            }
        }
    }
}

impl Provider {
    /// Whether it is the built-in sandbox.
    pub const fn is_sandbox(&self) -> bool {
        matches!(self, Self::Sandbox)
    }
}

#[cfg(test)]
mod tests;
