//! Where an operation begins and ends, without understanding it.

use crate::history::line::{LineError, is_continuation};
use crate::limits::{EDN_DEPTH_MAX, LINE_BYTES_MAX};

/// A place in a file, both from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Place {
    fn pass(&mut self, byte: u8) {
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        } else if !is_continuation(byte) {
            self.column += 1;
        }
    }

    /// An error here.
    pub(super) fn error(self, what: impl Into<String>) -> LineError {
        LineError::new(self.line, self.column, what)
    }
}

/// What is around the operations.
#[derive(Clone, Copy, Debug)]
enum Around {
    /// Nothing was seen yet.
    Unknown,
    /// Nothing is: one stands after the other.
    Nothing,
    /// A vector or a list, which began here and ends with this.
    Open(Place, u8),
    /// It has ended.
    Closed,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    CommentBetween,
    Form,
    Comment,
    Text,
    /// Behind a `\` in a string.
    Escape,
    /// Behind a `\` outside of one: the next is that character, whatever it means otherwise.
    Character,
}

/// What waits for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// A bracket, for its end.
    Bracket,
    /// A tag, for what it is about.
    Tag,
    /// A `#_`, for what it discards.
    Discard,
}

/// What the last byte outside of strings and comments was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// Between two words.
    Blank,
    /// The `#` of a tag, a set or a `#_`.
    Hash,
    /// In a word.
    Word,
}

/// Cuts a stream of bytes into operations.
#[derive(Debug)]
pub(super) struct Scanner {
    place: Place,
    around: Around,
    state: State,
    /// What is not complete yet, the outermost first: as deep as the reader of forms must go.
    open: Vec<Open>,
    /// The byte before, where it matters for the next.
    last: Last,
    start: Place,
    form: Vec<u8>,
    /// Whether what is in `form` is only discarded (`#_`), and more may follow it.
    is_kept: bool,
}

impl Scanner {
    pub(super) fn new() -> Self {
        let place = Place { line: 1, column: 1 };
        Self {
            place,
            around: Around::Unknown,
            state: State::Between,
            open: Vec::new(),
            last: Last::Blank,
            start: place,
            form: Vec::new(),
            is_kept: false,
        }
    }

    /// Where the operation begins.
    pub(super) fn start(&self) -> Place {
        self.start
    }

    /// The operation.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(super) fn form(&self) -> Result<&str, LineError> {
        std::str::from_utf8(&self.form).map_err(|error| {
            let mut place = self.start;
            self.form[..error.valid_up_to()].iter().for_each(|byte| place.pass(*byte));
            let byte = self.form[error.valid_up_to()];
            place.error(format!("byte 0x{byte:02x} is not UTF-8; a history is text"))
        })
    }

    /// The operation was taken; the next one replaces it.
    pub(super) fn take(&mut self) {
        self.form.clear();
        self.open.clear();
        self.is_kept = false;
    }

    /// What was found is not a whole operation yet: the next form belongs to it.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Reads on, until an operation is complete or the bytes are used up. How many were used, and
    /// whether one is.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), LineError> {
        for (index, byte) in bytes.iter().enumerate() {
            let is_complete = self.step(*byte)?;
            self.place.pass(*byte);
            if is_complete {
                return Ok((index + 1, true));
            }
        }
        Ok((bytes.len(), false))
    }

    fn step(&mut self, byte: u8) -> Result<bool, LineError> {
        match (self.state, byte) {
            (State::Between, _) => return self.between(byte),
            (State::CommentBetween, b'\n') => self.state = State::Between,
            (State::CommentBetween, _) => {}
            _ => {
                self.push(byte)?;
                return self.inside(byte);
            }
        }
        // A comment behind what is kept ends with its line, which must be kept as well.
        if self.is_kept {
            self.push(byte)?;
        }
        Ok(false)
    }

    fn push(&mut self, byte: u8) -> Result<(), LineError> {
        if self.form.len() >= LINE_BYTES_MAX {
            return Err(LineError::too_long(self.start.line, "the operation that begins here"));
        }
        self.form.push(byte);
        Ok(())
    }

    fn between(&mut self, byte: u8) -> Result<bool, LineError> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x0c => {}
            b';' => self.state = State::CommentBetween,
            b'{' | b'#' if !matches!(self.around, Around::Closed) => {
                if matches!(self.around, Around::Unknown) {
                    self.around = Around::Nothing;
                }
                self.state = State::Form;
                if !self.is_kept {
                    self.start = self.place;
                }
                self.push(byte)?;
                return self.inside(byte);
            }
            b'[' | b'(' if matches!(self.around, Around::Unknown) => {
                let end = if byte == b'[' { b']' } else { b')' };
                self.around = Around::Open(self.place, end);
            }
            b']' | b')' if matches!(self.around, Around::Open(_, end) if end == byte) => {
                self.around = Around::Closed;
            }
            _ if matches!(self.around, Around::Closed) => {
                return Err(self.place.error("something follows the end of the vector"));
            }
            0x21..0x7f => {
                let found = char::from(byte);
                let expected = "an operation is a map, such as \
                     {:process 0, :type :invoke, :f :read, :value nil}";
                return Err(self.place.error(format!("'{found}' begins no operation; {expected}")));
            }
            _ => {
                let what = format!("byte 0x{byte:02x} begins no operation; this is no EDN");
                return Err(self.place.error(what));
            }
        }
        if self.is_kept {
            self.push(byte)?;
        }
        Ok(false)
    }

    fn inside(&mut self, byte: u8) -> Result<bool, LineError> {
        match (self.state, byte) {
            (State::Text, b'"') | (State::Comment, b'\n') | (State::Character, _) => {
                self.state = State::Form;
            }
            (State::Escape, _) => self.state = State::Text,
            (State::Text, b'\\') => self.state = State::Escape,
            (State::Text | State::Comment, _) => {}
            (_, b'"') => {
                self.state = State::Text;
                self.last = Last::Blank;
                self.value();
            }
            (_, b';') => {
                self.state = State::Comment;
                self.last = Last::Blank;
            }
            (_, b'\\') => {
                self.state = State::Character;
                self.last = Last::Word;
                self.value();
            }
            (_, b'{' | b'[' | b'(') => {
                // What seemed to be a tag is a set.
                if std::mem::replace(&mut self.last, Last::Blank) == Last::Hash {
                    self.open.pop();
                }
                self.wait(Open::Bracket)?;
            }
            (_, b'}' | b']' | b')') => {
                while self.open.pop_if(|it| *it != Open::Bracket).is_some() {}
                if self.open.pop().is_none() {
                    let found = char::from(byte);
                    return Err(self.place.error(format!("'{found}' closes nothing")));
                }
                self.last = Last::Blank;
                self.value();
                if !self.open.contains(&Open::Bracket) {
                    self.state = State::Between;
                    return Ok(true);
                }
            }
            _ => self.word(byte)?,
        }
        Ok(false)
    }

    /// A byte of a word, or between two.
    fn word(&mut self, byte: u8) -> Result<(), LineError> {
        self.last = match (self.last, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x0c) => Last::Blank,
            (Last::Blank, b'#') => {
                self.wait(Open::Tag)?;
                Last::Hash
            }
            // What is discarded may follow at once.
            (Last::Hash, b'_') => {
                self.open.pop();
                self.wait(Open::Discard)?;
                Last::Blank
            }
            (Last::Blank, _) => {
                self.value();
                Last::Word
            }
            _ => Last::Word,
        };
        Ok(())
    }

    /// What was waited for is there: the tags before it are about it, up to one that discards it
    /// with them.
    fn value(&mut self) {
        while self.open.pop_if(|it| *it == Open::Tag).is_some() {}
        self.open.pop_if(|it| *it == Open::Discard);
    }

    fn wait(&mut self, what: Open) -> Result<(), LineError> {
        if self.open.len() >= EDN_DEPTH_MAX {
            let what =
                format!("brackets and tags within one another, more than {EDN_DEPTH_MAX} deep");
            return Err(self.place.error(what));
        }
        self.open.push(what);
        Ok(())
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// When something should.
    pub(super) fn end(&self) -> Result<(), LineError> {
        let is_between = matches!(self.state, State::Between | State::CommentBetween);
        match (is_between, self.around) {
            // Its first lines are no history either: their bracket is not closed.
            (_, Around::Open(start, end)) => {
                let (line, end) = (start.line, char::from(end));
                let what = format!("the bracket of line {line} is never closed with '{end}'");
                let what = format!("cut off: {what}; copy the file again, whole");
                Err(LineError::new(self.place.line, 0, what))
            }
            (false, _) => {
                let what = "the file ends in the middle of the operation that begins here";
                Err(LineError::cut(self.start.line, what))
            }
            (true, _) => Ok(()),
        }
    }
}
