//! lld's map of a link.

/// A function.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    /// Its section, as `start-order.txt` names it.
    pub(crate) section: String,
    pub(crate) address: u64,
    /// In bytes.
    pub(crate) size: u64,
}

/// Returns the functions of a map, by address. A line of a section is `VMA LMA Size Align FILE:(SECTION)`, and lines of
/// symbols follow it, `VMA LMA Size Align SYMBOL`.
///
/// A function mostly has a section of its own, `.text.SYMBOL`. Those that are one section with others of their object file,
/// as in the C library and in assembly, are told apart by the symbols.
pub(crate) fn functions(map: &str) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    let mut shared: Option<String> = None;
    for line in map.lines() {
        let Some((address, size, rest)) = fields(line) else { continue };
        match rest.rsplit_once(":(") {
            Some((file, section)) => {
                let section = section.trim_end_matches(')');
                shared = if section == ".text" { member(file) } else { None };
                if let Some(symbol) = section.strip_prefix(".text.") {
                    let section = format!("{} {}", origin(file).unwrap_or("*"), pattern(symbol));
                    functions.push(Function { section, address, size });
                }
            }
            None => functions.extend(shared.clone().map(|section| Function { section, address, size })),
        }
    }
    functions.retain(|function| function.size > 0);
    functions.sort_by_key(|function| function.address);
    // Names of one function.
    functions.dedup_by_key(|function| function.address);
    functions
}

/// Returns address, size, and what a line is about.
fn fields(line: &str) -> Option<(u64, u64, &str)> {
    let mut rest = line;
    let mut field = || {
        let (field, after) = rest.trim_start().split_once(' ')?;
        rest = after;
        Some(field)
    };
    let (address, _, size, _) = (field()?, field()?, field()?, field()?);
    let hex = |field| u64::from_str_radix(field, 16).ok();
    Some((hex(address)?, hex(size)?, rest.trim_start()))
}

/// Returns the crate that an object file holds code of: rustc calls it `….CRATE.HASH-cgu.NUMBER.rcgu.o`.
fn origin(path: &str) -> Option<&str> {
    let (before, _) = path.rsplit('/').next()?.split_once("-cgu.")?;
    before.rsplit('.').nth(1)
}

/// Returns the name of an archive's member, `ARCHIVE:MEMBER`, without the hashes that cargo and rustc put into both.
fn member(path: &str) -> Option<String> {
    let (archive, member) = path.rsplit('/').next()?.strip_suffix(')')?.split_once('(')?;
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let archive = match archive.strip_suffix(".rlib").and_then(|name| name.rsplit_once('-')) {
        Some((name, hash)) if is_hash(hash) => format!("{name}-*.rlib"),
        _ => archive.to_owned(),
    };
    match member.split_once('-') {
        Some((hash, name)) if is_hash(hash) => Some(format!("{archive}:*-{name}")),
        _ => Some(format!("{archive}:{member}")),
    }
}

/// Replaces what changes with each build in a symbol's name: the hash of the old mangling, the crate's number in the new
/// one, and the suffix that LLVM gives to a function that it has made visible to other units.
fn pattern(name: &str) -> String {
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
                   \x20         919ec0           919ec0       31     1                 _start\n\
                   \x20         919fcd           919fcd      139     1         /o/1.o:(.text.main)\n\
                   \x20         919fcd           919fcd      139     1                 main\n\
                   \x20         a1a000           a1a000       10    16         /d/sealops-37.age-47.age.32-cgu.0.rcgu.o.rcgu.o:(.text._ZN3ageE)\n\
                   \x20         a1b000           a1b000       40    16         /lib/libc.a(malloc.o):(.text)\n\
                   \x20         a1b000           a1b000       20     1                 malloc\n\
                   \x20         a1b000           a1b000       20     1                 __libc_malloc\n\
                   \x20         a1b020           a1b020        0     1                 label\n\
                   \x20         a1b020           a1b020       20     1                 free\n\
                   \x20         a1b040           a1b040       20     1         /t/libaws_lc_sys-513d1292f50aa40a.rlib(6cca901d1d9807b8-x86_64-mont5.o):(.text)\n\
                   \x20         a1b040           a1b040       20     1                 bn_mul_mont\n\
                   \x20         a1b060           a1b060       20     1         /lib/libc.a(malloc.o):(.data)\n\
                   \x20         a1b060           a1b060       20     1                 main_arena\n";
        let function = |section: &str, address, size| Function { section: section.to_owned(), address, size };
        let expected = [
            function("* main", 0x91_9fcd, 0x139),
            function("age _ZN3ageE", 0xa1_a000, 0x10),
            function("libc.a:malloc.o", 0xa1_b000, 0x20),
            function("libc.a:malloc.o", 0xa1_b020, 0x20),
            function("libaws_lc_sys-*.rlib:*-x86_64-mont5.o", 0xa1_b040, 0x20),
        ];
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
