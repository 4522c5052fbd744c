// What people type or paste for a model of the hub, taken apart. Called by locate.cpp for what is no file or directory here.
// Never looks at the file system and never opens a socket. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {

struct ModelName {
  std::string repository;  // "org/name", or "name" as the catalogue's models may be called
  std::string revision;    // a branch, tag or commit; empty: the main one, "main" too
  std::string file;        // a path inside the repository, of a file or of a folder; never with "..", never absolute
  std::string gguf_tag;    // which of a repository's GGUF files, such as "Q4_K_M"
  bool is_address = false; // it was written as an address: hf://, hf.co/, https://huggingface.co/

  // The same in its shortest spelling: org/name[@revision][:tag].
  std::string text() const;
};

// org/name, name, org/name@REVISION, org/name:Q4_K_M, the same after hf://, hf.co/ or huggingface.co/, with or without http(s)://
// and www., and addresses of pages there: /tree/REVISION[/FOLDER], /blob/REVISION/FILE, /resolve/REVISION/FILE, with ? and #.
// Nothing where the text is none of these.
std::optional<ModelName> parse_model_name(std::string_view text);

} // namespace plimsoll
