// Tokens of beginning and end as the files beside a tokenizer name them: tokenizer_config.json by their text, generation_config.json and
// config.json by their ids. Called for folders. Threads: pure functions of the file system.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "plimsoll/result.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {

struct FolderTokens {
  NamedTokens named;
  std::optional<Token> eos;               // the one that tokenizer_config.json names
  std::optional<bool> adds_bos, adds_eos; // where tokenizer_config.json says
};

// `id_of` finds the token of a text. A file that is not there names nothing. kBadConfig for a token that the vocabulary or the model
// does not have.
Result<FolderTokens> read_folder_tokens(const std::string& folder, std::uint32_t vocab_size,
                                        const std::function<std::optional<Token>(std::string_view)>& id_of);

} // namespace plimsoll
