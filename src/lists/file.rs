//! Subscribers as CSV: which column is what, and what a line must be.
//!
//! In scope: the form of addresses as far as no database is needed. Out of scope: what the database
//! makes of them.

use crate::mail::recipient::split;
use crate::mail::wire::check_address;
use csv::StringRecord;
use serde_json::{Map, Value};

/// The columns that an export has, before those of the data.
pub const COLUMNS: [&str; 9] = [
    "address",
    "state",
    "locale",
    "subject",
    "data",
    "created_at",
    "confirmed_at",
    "changed_at",
    "how",
];

/// One line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// The address.
    pub address: String,
    /// A language tag.
    pub locale: Option<String>,
    /// Whom it is about, in the application's words.
    pub subject: Option<String>,
    /// A JSON object, as text.
    pub data: Option<String>,
}

/// What each column is.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Their places, in the order of [`COLUMNS`].
    known: [Option<usize>; 5],
    /// Others are data: place and name.
    data: Vec<(usize, String)>,
    /// How many there are.
    count: usize,
}

impl Columns {
    /// Reads the first line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(header: &StringRecord) -> Result<Columns, String> {
        let mut columns = Columns { count: header.len(), ..Columns::default() };
        let names = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim());
        let names: Vec<&str> = names.collect();
        for (place, &name) in names.iter().enumerate() {
            if !name.is_empty() && names[..place].contains(&name) {
                return Err("the first line names a column twice".to_owned());
            }
            match COLUMNS.iter().position(|known| *known == name) {
                Some(known) if known < columns.known.len() => columns.known[known] = Some(place),
                None if !name.is_empty() => columns.data.push((place, name.to_owned())),
                _ => {}
            }
        }
        match columns.known[0] {
            Some(_) => Ok(columns),
            None => Err("the first line must name the columns, one of them address".to_owned()),
        }
    }

    /// Reads any other line.
    ///
    /// # Errors
    /// Why it cannot be taken, without its content.
    pub fn subscriber(&self, line: &StringRecord) -> Result<Subscriber, String> {
        let field = |place: usize| {
            let text = line.get(place).unwrap_or_default().trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        if line.as_slice().contains('\0') {
            return Err("it holds a NUL, or a quote in it is never closed".to_owned());
        }
        if line.iter().skip(self.count).any(|text| !text.trim().is_empty()) {
            return Err("it has more fields than the first line".to_owned());
        }
        let [address, state, locale, subject, data] = self.known.map(|place| field(place?));
        if state.is_some_and(|state| state != "confirmed") {
            return Err("its state is not confirmed".to_owned());
        }
        let address = address.ok_or("there is no address")?;
        check_address(&address)?;
        if address.len() > 320 || split(&address).1 != address {
            return Err("the address is not local@domain, of at most 320 bytes".to_owned());
        }
        let mut own: Map<String, Value> = match data {
            Some(data) => serde_json::from_str(&data).map_err(|_| "data is no JSON object")?,
            None => Map::new(),
        };
        for (place, name) in &self.data {
            own.extend(field(*place).map(|text| (name.clone(), text.into())));
        }
        let data = (!own.is_empty()).then(|| Value::Object(own).to_string());
        Ok(Subscriber { address, locale, subject, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_stand_in_any_order_and_unknown_ones_are_data() {
        let header = ["\u{feff}name", "address", " locale ", "how", ""];
        let columns = Columns::read(&StringRecord::from(header.to_vec())).unwrap();
        let read = |line: &[&str]| columns.subscriber(&StringRecord::from(line.to_vec()));
        let ann = Subscriber {
            address: "ann@example.com".into(),
            locale: Some("de".into()),
            subject: None,
            data: Some(r#"{"name":"Ann"}"#.into()),
        };
        assert_eq!(read(&["Ann", " ann@example.com", "de", "import", "x"]), Ok(ann));
        assert_eq!(read(&["", "b@c.d"]).unwrap().data, None);
        for bad in ["", "nobody", "a@", "a\u{7}@b.c", "Ann <ann@example.com>"] {
            assert!(read(&["Ann", bad]).is_err(), "{bad:?}");
        }
        assert!(read(&["Ann", "a@b.c", "de", "", "", " ", ""]).is_ok());
        assert!(read(&["Ann", "a@b.c", "de", "", "", "", "more"]).is_err());
        for header in [&["ann@example.com"][..], &["address", "name", "name"]] {
            assert!(Columns::read(&StringRecord::from(header)).is_err(), "{header:?}");
        }
    }
}
