//! What sequences and counters keep in a register: a line of text that can be read by people and
//! is checked by machines.
//!
//! ```text
//! steadfast sequence 1 4711 3f1c22aa
//! └───────┘ └──────┘ │ └──┘ └──────┘
//!  whose     kind  version  content  the lower 32 bits of XXH3 of all before its space
//! ```
//!
//! Whatever does not fit is an error and never taken for nothing: a sequence that begins anew
//! gives numbers that somebody has already.

use crate::port::Name;

const VERSION: &str = "1";

/// A register does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the register {register} does not hold a {kind}: {reason}. It is left as it is; find out who \
     wrote it, and store the right value or use another name"
)]
pub struct Damaged {
    /// Which register.
    pub register: Name,
    /// What it should hold.
    pub kind: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

fn checksum(text: &str) -> u32 {
    // The lower half, cut off on purpose.
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()) as u32
}

/// The line.
pub(super) fn encode(kind: &str, content: &str) -> Vec<u8> {
    let text = format!("steadfast {kind} {VERSION} {content}");
    format!("{text} {:08x}", checksum(&text)).into_bytes()
}

/// The content.
pub(super) fn decode<'a>(
    register: &Name,
    kind: &'static str,
    value: &'a [u8],
) -> Result<&'a str, Damaged> {
    read(kind, value).map_err(|reason| damaged(register, kind, reason))
}

pub(super) fn damaged(register: &Name, kind: &'static str, reason: String) -> Damaged {
    Damaged { register: register.clone(), kind, reason }
}

fn read<'a>(kind: &str, value: &'a [u8]) -> Result<&'a str, String> {
    let text = std::str::from_utf8(value).map_err(|_| "it is not text".to_owned())?;
    let start = || text.chars().take(40).collect::<String>();
    let foreign = || format!("it begins with {:?}", start());
    let rest = text.strip_prefix("steadfast ").ok_or_else(foreign)?;
    let (found, rest) = rest.split_once(' ').ok_or_else(foreign)?;
    if found != kind {
        return Err(format!("it holds a {found}"));
    }
    let (version, rest) = rest.split_once(' ').ok_or_else(foreign)?;
    if version != VERSION {
        return Err(format!("its format is version {version:?}, and this program knows {VERSION}"));
    }
    let (content, sum) = rest.rsplit_once(' ').ok_or_else(foreign)?;
    let summed = &text[..text.len() - sum.len() - 1];
    if format!("{:08x}", checksum(summed)) != sum {
        return Err("its checksum does not fit; it has been damaged, or edited".to_owned());
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_nothing_else_is() {
        let register = Name::new("orders").unwrap();
        let line = encode("sequence", "4711 a b");
        assert_eq!(decode(&register, "sequence", &line), Ok("4711 a b"));
        let wrong = |value: &[u8]| decode(&register, "sequence", value).unwrap_err().to_string();
        assert!(wrong(&encode("counter", "4711")).contains("it holds a counter"));
        assert!(wrong(b"4711").contains("\"4711\""));
        assert!(wrong(b"").contains("begins with"));
        assert!(wrong(&[0xFF, 0xFE]).contains("not text"));
        assert!(wrong(b"steadfast sequence 2 x y").contains("version \"2\""));
        // Each bit counts.
        for bit in 0..line.len() * 8 {
            let mut line = line.clone();
            line[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&register, "sequence", &line).is_err(), "bit {bit}");
        }
    }
}
