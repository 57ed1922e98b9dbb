//! The commands of a shell script, without what the shell puts in for variables.

/// Lines by the number of their first one: a backslash at the end goes on with the next.
pub(super) fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (line, number) in text.lines().zip(1..) {
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, before)) if goes_on => {
                before.push(' ');
                before.push_str(part);
            }
            _ => lines.push((number, part.to_owned())),
        }
        goes_on = more;
    }
    lines
}

/// The words of each command of a line.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let words = shell_words(line);
    let ends = |word: &Word| !word.quoted && matches!(&*word.text, ";" | "&&" | "||" | "|" | "&");
    let commands = words.split(ends).map(without_redirections);
    commands.filter(|words| !words.is_empty()).collect()
}

/// Words without `2>/dev/null` and its like.
fn without_redirections(words: &[Word]) -> Vec<String> {
    let mut rest = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let redirection = word.text.trim_start_matches(|c: char| c.is_ascii_digit());
        if word.quoted || !redirection.starts_with(['<', '>']) {
            rest.push(word.text.clone());
        } else if redirection.ends_with(['<', '>']) {
            // The file is the next word.
            words.next();
        }
    }
    rest
}

struct Word {
    text: String,
    quoted: bool,
}

/// Words as a shell takes them, without what it puts in for variables.
fn shell_words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let is_begun = word.is_some();
        let current = |word: &mut Option<Word>, c: char| {
            let empty = || Word { text: String::new(), quoted: false };
            word.get_or_insert_with(empty).text.push(c);
        };
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some('"') | None, '\\') => {
                if let Some(c) = chars.next() {
                    current(&mut word, c);
                }
            }
            (Some(_), c) => current(&mut word, c),
            (None, '\'' | '"') => {
                quote = Some(c);
                let empty = || Word { text: String::new(), quoted: false };
                word.get_or_insert_with(empty).quoted = true;
            }
            (None, '#') if !is_begun => break,
            (None, '&') if word.as_ref().is_some_and(|word| word.text.ends_with('>')) => {
                current(&mut word, c);
            }
            (None, ';' | '&' | '|') => {
                words.extend(word.take());
                let mut text = c.to_string();
                if c != ';' && chars.peek() == Some(&c) {
                    text.push(c);
                    chars.next();
                }
                words.push(Word { text, quoted: false });
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => current(&mut word, c),
        }
    }
    words.extend(word);
    words
}
