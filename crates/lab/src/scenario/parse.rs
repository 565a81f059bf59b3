//! A scenario out of its file.

use std::path::Path;
use std::time::Duration;

use super::problem::suggestion;
use super::read::{Reader, Section};
use super::{Bound, Invariant, Load, Place, Problem, Scenario, Variant};
use crate::check::Model;
use crate::fault;
use crate::limits::{CLIENTS_MAX, DURATION_MAX, FAULTS_MAX, PROBLEMS_MAX, RATE_MAX, VARIANTS_MAX};
use crate::quantity::{Quantity, Unit};
use crate::system::{self, System};

pub(super) fn parse(text: &str, path: Option<&Path>) -> Result<Scenario, Vec<Problem>> {
    let located = |mut problems: Vec<Problem>| {
        problems.sort_by_key(|problem| problem.place);
        if problems.len() > PROBLEMS_MAX {
            let more = problems.len() - PROBLEMS_MAX;
            problems.truncate(PROBLEMS_MAX);
            problems.push(Problem::at(Place::default(), format!("and {more} more problems")));
        }
        for problem in &mut problems {
            problem.path = path.map(Path::to_owned);
        }
        problems
    };
    let file = Section::parse(text).map_err(|problem| located(vec![problem]))?;
    let mut problems = Vec::new();
    let scenario = read(&file, &mut problems);
    match scenario {
        Some(scenario) if problems.is_empty() => {
            Ok(Scenario { path: path.map(Path::to_owned), text: text.to_owned(), ..scenario })
        }
        _ => Err(located(problems)),
    }
}

fn read(file: &Section, problems: &mut Vec<Problem>) -> Option<Scenario> {
    let reader = file.reader();
    let name = name(&reader, "name");
    let (title, claim) = (reader.required("title").to_owned(), reader.required("claim").to_owned());
    let source = reader.text("source").unwrap_or_default().to_owned();
    let system = system(&reader);
    let length = self::length(&reader, "duration");
    if !file.has("duration") {
        reader.problem("duration", "is missing: how long a trial takes, \"60s\"");
    }
    let duration = length.unwrap_or(Duration::from_secs(1));
    let real_duration = self::length(&reader, "real_duration").unwrap_or(duration);
    let scale_faults = reader.flag("scale_faults", false);
    let load = reader.section("load").map_or_else(Load::default, |section| load(section, problems));
    let settings = reader.section("settings").cloned().unwrap_or_default();
    let sections = reader.sections("variant");
    let variants = variants(&reader, &sections, problems);
    let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    let (faults, more_faults) = (reader.sections("fault"), reader.sections("faults"));
    let (invariants, bounds) = (reader.sections("invariant"), reader.sections("bound"));
    let scenario = system.map(|system| {
        let nodes = settled(system, load, &settings, &variants, problems);
        let kinds = system.faults();
        let real = (!scale_faults && real_duration < duration).then_some(real_duration);
        let known = fault::Known { system: system.name(), nodes: &nodes, kinds, length, real };
        Scenario {
            name,
            title,
            claim,
            source,
            system,
            duration,
            real_duration,
            scale_faults,
            load,
            settings: settings.clone(),
            faults: faults.iter().filter_map(|it| fault::planned(it, &known, problems)).collect(),
            drawn: more_faults.iter().filter_map(|it| fault::drawn(it, &known, problems)).collect(),
            invariants: invariants
                .iter()
                .filter_map(|it| invariant(it, system, &names, problems))
                .collect(),
            bounds: bounds.iter().filter_map(|it| bound(it, system, &names, problems)).collect(),
            variants: variants.clone(),
            path: None,
            text: String::new(),
        }
    });
    if invariants.is_empty() && bounds.is_empty() {
        reader.problem(
            "invariant",
            "there is neither an [[invariant]] nor a [[bound]]: nothing is claimed",
        );
    }
    if let Some(scenario) = &scenario {
        asked(scenario, &sections, problems);
        if scenario.faults.len() > FAULTS_MAX {
            let faults = scenario.faults.len();
            reader.problem("fault", format!("{faults} faults; at most {FAULTS_MAX}"));
        }
    }
    problems.extend(reader.end());
    scenario
}

/// A variant of which nothing is asked would hold whatever it does.
fn asked(scenario: &Scenario, sections: &[&Section], problems: &mut Vec<Problem>) {
    if scenario.invariants.is_empty() && scenario.bounds.is_empty() {
        // Of none; that is another problem.
        return;
    }
    for (variant, section) in scenario.variants.iter().zip(sections) {
        let name = &variant.name;
        let is_asked = scenario.invariants.iter().any(|it| it.is_for(name))
            || scenario.bounds.iter().any(|it| it.is_for(name));
        if !is_asked {
            let what = format!(
                "nothing is asked of {name:?}: no [[invariant]] and no [[bound]] is for it"
            );
            problems.push(Problem::at(section.place, what));
        }
    }
}

/// A word for commands and file names.
fn name(reader: &Reader<'_>, key: &'static str) -> String {
    let name = reader.required(key);
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = name.len() <= 64 && name.chars().all(is_word) && !name.starts_with('-');
    if !name.is_empty() && !is_name {
        reader
            .problem(key, format!("{name:?} is no name; use up to 64 of a-z, 0-9 and '-' between"));
    }
    name.to_owned()
}

fn system(reader: &Reader<'_>) -> Option<&'static dyn System> {
    let name = reader.required("system");
    let found = system::find(name);
    if found.is_none() && !name.is_empty() {
        let known: Vec<_> = system::ALL.iter().map(|system| system.name()).collect();
        reader.problem("system", format!("unknown system {name:?}{}", suggestion(name, &known)));
    }
    found
}

/// How long a trial takes; none when it is not there, or wrong.
fn length(reader: &Reader<'_>, key: &'static str) -> Option<Duration> {
    let length = reader.optional_duration(key)?;
    if length.is_zero() || length > DURATION_MAX {
        reader.problem(key, "must be longer than nothing, and at most 24h");
        return None;
    }
    Some(length)
}

fn load(section: &Section, problems: &mut Vec<Problem>) -> Load {
    let reader = section.reader();
    let rate = reader.rate("rate");
    if let Some(rate) = rate
        && !(rate > 0.0 && rate <= RATE_MAX)
    {
        reader.problem("rate", format!("must be more than nothing, and at most {RATE_MAX}/s"));
    }
    let clients = section
        .has("clients")
        .then(|| reader.count("clients", 1..=u64::from(CLIENTS_MAX), 1))
        .and_then(|clients| u32::try_from(clients).ok());
    problems.extend(reader.end());
    Load { rate, clients }
}

fn variants(
    reader: &Reader<'_>,
    sections: &[&Section],
    problems: &mut Vec<Problem>,
) -> Vec<Variant> {
    if sections.is_empty() {
        reader.problem(
            "variant",
            "there is no [[variant]]: write at least one with protected = true",
        );
    }
    if sections.len() > VARIANTS_MAX {
        reader.problem("variant", format!("more than {VARIANTS_MAX} variants"));
    }
    let mut variants: Vec<Variant> = Vec::new();
    for section in sections {
        let own = section.reader();
        let name = name(&own, "name");
        if variants.iter().any(|other| other.name == name) {
            own.problem("name", format!("there are two variants {name:?}"));
        }
        if !section.has("protected") {
            own.problem(
                "protected",
                "is missing: true when it must hold, false when it must be caught",
            );
        }
        let protected = own.flag("protected", true);
        let about = own.text("about").unwrap_or_default().to_owned();
        let settings = own.section("settings").cloned().unwrap_or_default();
        problems.extend(own.end());
        variants.push(Variant { name, about, protected, settings });
    }
    if !variants.is_empty() && !variants.iter().any(|variant| variant.protected) {
        reader.problem("variant", "none is protected: nothing is claimed to hold");
    }
    variants
}

/// Lets the system read each variant's settings; gives the nodes of all.
fn settled(
    system: &dyn System,
    load: Load,
    settings: &Section,
    variants: &[Variant],
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let mut nodes = Vec::new();
    for variant in variants {
        let merged = variant.settings.over(settings);
        let reader = merged.reader();
        for node in system.prepare(load, &reader) {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        for problem in reader.end() {
            // A setting of the scenario is read for each variant, and is wrong only once.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    nodes
}

fn only(reader: &Reader<'_>, variants: &[&str]) -> Vec<String> {
    let only = reader.texts("only");
    if only.is_empty() && reader.has("only") {
        reader.problem("only", "names no variant; leave it out when it is for all");
    }
    for name in &only {
        if !variants.contains(name) {
            reader.problem("only", format!("no variant {name:?}{}", suggestion(name, variants)));
        }
    }
    only.into_iter().map(str::to_owned).collect()
}

fn invariant(
    section: &Section,
    system: &dyn System,
    variants: &[&str],
    problems: &mut Vec<Problem>,
) -> Option<Invariant> {
    let reader = section.reader();
    let word = reader.required("model");
    let only = only(&reader, variants);
    let model = Model::ALL.into_iter().find(|model| model.name() == word);
    match model {
        None => {
            let known = Model::ALL.map(Model::name);
            reader.problem("model", format!("unknown model {word:?}{}", suggestion(word, &known)));
        }
        Some(model) if !system.models().contains(&model) => {
            let fitting: Vec<_> = system.models().iter().map(|model| model.name()).collect();
            let fitting = if fitting.is_empty() { "no model".into() } else { fitting.join(", ") };
            let name = system.name();
            reader.problem(
                "model",
                format!("a history of {name} is none of {word:?}; it fits {fitting}"),
            );
        }
        Some(_) => {}
    }
    problems.extend(reader.end());
    Some(Invariant { model: model?, only })
}

fn bound(
    section: &Section,
    system: &dyn System,
    variants: &[&str],
    problems: &mut Vec<Problem>,
) -> Option<Bound> {
    let reader = section.reader();
    let name = reader.required("indicator");
    let only = only(&reader, variants);
    let known = system.indicators();
    let Some(indicator) = known.iter().find(|indicator| indicator.name == name) else {
        let names: Vec<_> = known.iter().map(|indicator| indicator.name).collect();
        let system = system.name();
        reader.problem(
            "indicator",
            format!("{system} has no indicator {name:?}{}", suggestion(name, &names)),
        );
        let _ = (reader.any_quantity("at_least"), reader.any_quantity("at_most"));
        problems.extend(reader.end());
        return None;
    };
    let limit = |key| {
        let quantity: Quantity = reader.any_quantity(key)?;
        if quantity.unit != indicator.unit {
            let (wanted, example) = (indicator.unit.name(), indicator.unit.example());
            let what = if quantity.unit == Unit::Count {
                format!("{name} is {wanted}, and the bound has no unit; write it as {example}")
            } else {
                format!("{name} is {wanted}, not {}; write it as {example}", quantity.unit.name())
            };
            reader.problem(key, what);
            return None;
        }
        Some(quantity)
    };
    let (at_least, at_most) = (limit("at_least"), limit("at_most"));
    if !section.has("at_least") && !section.has("at_most") {
        reader.problem("indicator", "neither at_least nor at_most is given: it bounds nothing");
    }
    match (at_least, at_most) {
        (Some(least), None) if least.value == 0.0 && !section.has("at_most") => {
            reader.problem("at_least", "everything is at least 0: it bounds nothing");
        }
        (Some(least), Some(most)) if least.value > most.value => {
            reader.problem(
                "at_least",
                format!("nothing is both at least {least} and at most {most}"),
            );
        }
        _ => {}
    }
    problems.extend(reader.end());
    Some(Bound { indicator: name.to_owned(), at_least, at_most, only })
}
