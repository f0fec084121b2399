//! lld's map of a link.

/// A function in a section of its own.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    /// What follows `.text.` in the section's name: the symbol.
    pub(crate) name: String,
    /// The crate that it was compiled in; `*` for those of the toolchain and of C.
    pub(crate) origin: String,
    pub(crate) address: u64,
    /// In bytes.
    pub(crate) size: u64,
}

/// Returns the functions of a map, by address. A line of a section is `VMA LMA Size Align FILE:(SECTION)`.
pub(crate) fn functions(map: &str) -> Vec<Function> {
    let function = |line: &str| {
        let (fields, section) = line.split_once(":(.text.")?;
        let name = section.strip_suffix(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let mut hex = || u64::from_str_radix(fields.next()?, 16).ok();
        let (address, _, size) = (hex()?, hex()?, hex()?);
        let origin = fields.next_back().and_then(origin).unwrap_or("*").to_owned();
        (size > 0).then(|| Function { name: name.to_owned(), origin, address, size })
    };
    let mut functions: Vec<Function> = map.lines().filter_map(function).collect();
    functions.sort_by_key(|function| function.address);
    functions
}

/// Returns the crate that an object file holds code of: rustc calls it `….CRATE.HASH-cgu.NUMBER.rcgu.o`.
fn origin(path: &str) -> Option<&str> {
    let (before, _) = path.rsplit('/').next()?.split_once("-cgu.")?;
    before.rsplit('.').nth(1)
}

/// Replaces what changes with each build in a symbol's name: the hash of the old mangling, the crate's number in the new
/// one, and the suffix that LLVM gives to a function that it has made visible to other units.
pub(crate) fn pattern(name: &str) -> String {
    let name = name.split_once(".llvm.").map_or(name, |(name, _)| name);
    const HASH: usize = "17h0123456789abcdefE".len();
    let old = name.len().checked_sub(HASH).and_then(|at| name.split_at_checked(at));
    if let Some((path, hash)) = old
        && hash.starts_with("17h")
        && hash.ends_with('E')
    {
        return format!("{path}17h*");
    }
    let mut pattern = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("Cs") {
        let number = after.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(after.len());
        pattern.push_str(before);
        pattern.push_str("Cs");
        rest = match after[number..].strip_prefix('_') {
            Some(_) if number > 0 => {
                pattern.push('*');
                &after[number..]
            }
            _ => after,
        };
    }
    pattern.push_str(rest);
    if pattern.contains('*') { pattern + "*" } else { pattern }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_sections_are_read() {
        let map = "             VMA              LMA     Size Align Out     In      Symbol\n\
                   \x20         919ec0           919ec0       31    16         /usr/lib/crt1.o:(.text)\n\
                   \x20         919fcd           919fcd      139     1         /o/1.o:(.text.main)\n\
                   \x20         919fcd           919fcd      139     1                 main\n\
                   \x20         a1a000           a1a000       10    16         /d/sealops-37.age-47.age.32-cgu.0.rcgu.o.rcgu.o:(.text._ZN3ageE)\n";
        let function = |name: &str, origin: &str, address, size| Function {
            name: name.to_owned(),
            origin: origin.to_owned(),
            address,
            size,
        };
        let expected =
            [function("main", "*", 0x91_9fcd, 0x139), function("_ZN3ageE", "age", 0xa1_a000, 0x10)];
        assert_eq!(functions(map), expected);
    }

    #[test]
    fn what_changes_with_a_build_is_a_star() {
        for (name, expected) in [
            ("_ZN3age4open17h47a095605dc5173eE", "_ZN3age4open17h*"),
            ("_ZN3age4open17h47a095605dc5173eE.llvm.1774", "_ZN3age4open17h*"),
            ("_RNvMs3_NtCslNYArtu3iFV_5alloc3stre12to_lowercase", "_RNvMs3_NtCs*_5alloc3stre12to_lowercase*"),
            ("_RNvCs1_3std3runCs22_4core.llvm.5", "_RNvCs*_3std3runCs*_4core*"),
            ("EVP_MD_CTX_new", "EVP_MD_CTX_new"),
            ("_start", "_start"),
        ] {
            assert_eq!(pattern(name), expected);
        }
    }
}
