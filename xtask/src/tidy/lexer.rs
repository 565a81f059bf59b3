//! Rust source without its comments and literals.
//!
//! A rule that looks for a call must not find it in a sentence or a string. So comments and the
//! contents of literals are replaced by blanks; lines and columns stay where they are.

/// The source with blanks in place of comments and of what stands in quotes.
pub(super) fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (length, keep) = token(rest, first, code.chars().next_back());
        let (token, after) = rest.split_at(length);
        if keep {
            code.push_str(token);
        } else {
            code.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    code
}

/// How long the token at the start of `rest` is, and whether it is code.
fn token(rest: &str, first: char, before: Option<char>) -> (usize, bool) {
    let within_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    if first == '"' {
        return (quoted(rest, 1, '"'), false);
    }
    if !within_word && matches!(first, 'r' | 'b' | 'c') {
        let prefix = rest.len() - rest.trim_start_matches(['r', 'b', 'c']).len();
        let hashes = rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len();
        let raw = rest[..prefix].contains('r');
        let opens = rest[prefix + hashes..].starts_with('"');
        if opens && prefix <= 2 && raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = prefix + hashes + 1;
            let length = rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len());
            return (length, false);
        }
        if opens && prefix == 1 && hashes == 0 {
            return (quoted(rest, 2, '"'), false);
        }
    }
    if first == '\'' && !within_word && is_character(rest) {
        return (quoted(rest, 1, '\''), false);
    }
    (first.len_utf8(), true)
}

/// Whether a quote starts a character and not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (Some(_), Some(after)) => after == '\'',
        _ => false,
    }
}

/// The length of a literal whose content starts at `start`, backslashes honoured.
fn quoted(rest: &str, start: usize, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest[start..].char_indices() {
        if !escaped && c == end {
            return start + at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// The length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_blanks_and_code_stays() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x\\\"y\") + g", "f(      ) + g"),
            ("r#\"a\"b\"# z", "         z"),
            ("b\"q\" br\"q\" z", "           z"),
            ("'a' 'x: &'a str", "    'x: &'a str"),
            ("'\\'' q", "     q"),
            ("number\"x\"", "number   "),
        ];
        for (source, expected) in cases {
            let code = code_only(source);
            assert_eq!(code.trim_end(), expected.trim_end(), "{source}");
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        let source = "one\n\"two\nthree\"\n/* four\nfive */ six\n";
        let code = code_only(source);
        assert_eq!(code.lines().count(), source.lines().count());
        assert_eq!(code.lines().nth(4).map(str::trim), Some("six"));
    }
}
