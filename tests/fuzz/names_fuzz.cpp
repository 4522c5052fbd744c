// What people type: names and addresses of models, patterns, numbers of tokens. Any text is one, said again in its shortest spelling, or
// none.
#include "base/human.hpp"
#include "base/words.hpp"
#include "checkpoint/model_name.hpp"
#include "fuzz/fuzz.hpp"

#include <cstdlib>

namespace plimsoll::fuzz {

std::vector<std::string> seeds() {
  return {"Qwen/Qwen3-8B",
          "hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M",
          "https://huggingface.co/Qwen/Qwen3-8B/blob/main/config.json?x#y",
          "hf://models/org/name@v1.0",
          "huggingface.co/org/name/tree/dev/a/b",
          "*Qwen?-*B*",
          "25.6k",
          "8K",
          "1073741824"};
}

void fuzz_one(std::string_view input) {
  if (const auto name = parse_model_name(input)) {
    for (const std::string* part : {&name->repository, &name->revision, &name->file, &name->gguf_tag})
      if (part->find("..") != std::string::npos || part->starts_with('/')) std::abort(); // a path that leads out
    if (name->repository.empty()) std::abort();
    const auto again = parse_model_name(name->text());
    if (!again || again->text() != name->text()) std::abort();
  }
  const std::string_view half = input.substr(0, input.size() / 2), rest = input.substr(input.size() / 2);
  (void)matches_pattern(half, rest);
  if (!matches_pattern(input, "*") || !matches_pattern(half, half.find_first_of("*?") == std::string_view::npos ? half : "*")) std::abort();
  if (const auto tokens = parse_tokens(input); tokens && *tokens > INT64_MAX) std::abort();
}

} // namespace plimsoll::fuzz
