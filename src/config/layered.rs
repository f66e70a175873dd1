//! Settings that a flag, a variable and the file can all give: which of them wins.

use super::finding::{Findings, Place};
use super::scalar::Read;
use super::sources::Environment;
use super::value::{Section, Value};

/// A setting that has a flag and an environment twin.
pub(super) struct Layered {
    /// The key in the file.
    pub key: &'static str,
    /// The flag.
    pub flag: &'static str,
    /// The environment's twin.
    pub variable: &'static str,
}

/// A value and where it came from.
pub(super) struct Chosen<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
    /// Its key in the file.
    pub key: String,
}

impl Layered {
    /// The value that wins: flag over environment over file. All three are checked, since a fault that
    /// is covered today comes to light at the worst time. `None`: not given, or faulty.
    pub fn choose<T>(
        &self,
        flag: Option<&str>,
        environment: &Environment,
        file: Option<Section<'_>>,
        findings: &mut Findings,
        read: impl Fn(&str) -> Read<T>,
    ) -> Option<Chosen<T>> {
        let place = Place::Flag(self.flag);
        let flag = flag.map(|text| self.elsewhere(text, place, findings, &read));
        let variable = environment.text(self.variable, findings);
        let place = Place::Variable(self.variable);
        let variable = variable.map(|text| self.elsewhere(text, place, findings, &read));
        let file = file.as_ref().and_then(|file| file.given(self.key));
        let file = file.map(|value| in_file(&value, findings, &read));
        flag.or(variable).or(file).flatten()
    }

    /// As [`Layered::choose`], for a list; the lists replace each other and never add up.
    pub fn choose_list<T>(
        &self,
        flag: &[String],
        environment: &Environment,
        file: Option<Section<'_>>,
        findings: &mut Findings,
        read: impl Fn(&str) -> Read<T>,
    ) -> Option<Vec<Chosen<T>>> {
        let flags = (!flag.is_empty()).then(|| {
            let texts = flag.iter().map(String::as_str);
            self.each_elsewhere(texts, &Place::Flag(self.flag), findings, &read)
        });
        let variable = environment.text(self.variable, findings);
        let variable = variable.map(|texts| {
            let texts = texts.split(',').map(str::trim);
            self.each_elsewhere(texts, &Place::Variable(self.variable), findings, &read)
        });
        let file = file.as_ref().and_then(|file| file.given(self.key));
        let file = file.map(|value| {
            let items = value.list(findings);
            let items = items.into_iter().flatten();
            items
                .filter_map(|value| in_file(&value, findings, &read))
                .collect()
        });
        flags.or(variable).or(file)
    }

    fn each_elsewhere<'t, T>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        place: &Place,
        findings: &mut Findings,
        read: impl Fn(&str) -> Read<T>,
    ) -> Vec<Chosen<T>> {
        texts
            .filter_map(|text| self.elsewhere(text, place.clone(), findings, &read))
            .collect()
    }

    fn elsewhere<T>(
        &self,
        text: &str,
        place: Place,
        findings: &mut Findings,
        read: impl Fn(&str) -> Read<T>,
    ) -> Option<Chosen<T>> {
        match read(text) {
            Ok(value) => Some(Chosen {
                value,
                place,
                key: self.key.into(),
            }),
            Err(problem) => {
                findings.fault(place, self.key, problem);
                None
            }
        }
    }
}

fn in_file<T>(
    value: &Value<'_>,
    findings: &mut Findings,
    read: impl Fn(&str) -> Read<T>,
) -> Option<Chosen<T>> {
    let chosen = value.read(findings, "text", read)?;
    Some(Chosen {
        value: chosen,
        place: value.place(),
        key: value.key(),
    })
}
