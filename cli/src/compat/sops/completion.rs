//! Completion scripts: they ask the program itself for the words.

/// For bash.
pub(super) const BASH: &str = r#"_sops_words() {
  local word=${COMP_WORDS[COMP_CWORD]} line=("${COMP_WORDS[@]:0:COMP_CWORD}")
  case $word in -*) line+=("$word") ;; esac
  mapfile -t COMPREPLY < <(compgen -W "$("${line[@]}" --generate-bash-completion 2>/dev/null)" -- "$word")
}
complete -o bashdefault -o default -o nospace -F _sops_words sops
"#;

/// For zsh.
pub(super) const ZSH: &str = r#"#compdef sops
_sops_words() {
  local line=("${(@)words[1,CURRENT-1]}") found
  case ${words[CURRENT]} in -*) line+=("${words[CURRENT]}") ;; esac
  found=("${(@f)$("${line[@]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n ${found[1]} ]]; then compadd -a found; else _files; fi
}
compdef _sops_words sops
"#;
