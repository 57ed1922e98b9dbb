//! The BPF object without DWARF, which is most of it. What the verifier's log and `bpftool` show of the
//! source (types, names, lines) is BTF, and stays.

use anyhow::Result;
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// Sections that no loader reads. BTF is complete without its relocations: they are for linkers.
fn is_for_debuggers(section: &[u8]) -> bool {
    let relocated = section.strip_prefix(b".rel");
    relocated.unwrap_or(section).starts_with(b".debug_")
        || relocated.is_some_and(|relocated| relocated.starts_with(b".BTF"))
}

/// `object` without these.
pub(crate) fn removed_from(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        section.delete = is_for_debuggers(&section.name);
    }
    builder.delete_orphans();
    // LLVM has one table for the names of sections and of symbols, here each has its own.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let mut smaller = Vec::new();
    builder.write(&mut smaller)?;
    Ok(smaller)
}
