//! What stands between fences in a page: commands, files, output.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

#[derive(Debug)]
pub(crate) struct Block {
    /// Behind the opening fence; empty where nothing is said.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// All of a page, from its top.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut block) = (Vec::new(), None);
    for event in Parser::new_ext(page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                block = Some(Block { language, text: String::new() });
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
            Event::Text(text) => {
                block.iter_mut().for_each(|block: &mut Block| block.text.push_str(&text));
            }
            _ => {}
        }
    }
    blocks
}
