#include "tokenizer/published_patterns.hpp"

#include <algorithm>
#include <array>

namespace plimsoll {
namespace {

// As the tokenizer.json files of these models have them.
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::array kGpt2Patterns{kGpt2Pattern};
constexpr std::array kLlama3Patterns{kLlama3Pattern};
constexpr std::array kQwen2Patterns{kQwen2Pattern};
constexpr std::array kQwen35Patterns{kQwen35Pattern};
constexpr std::array kTekkenPatterns{kTekkenPattern};
constexpr std::array kO200kPatterns{kO200kPattern};
constexpr std::array<std::string_view, 2> kDigitsPatterns{R"(\p{N})", kGpt2Pattern};
constexpr std::array<std::string_view, 3> kDeepseek3Patterns{R"(\p{N}{1,3})", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
                                                             kDeepseek3Pattern};
constexpr std::array<std::string_view, 5> kDeepseekCoderPatterns{R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                                                 "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", R"(\p{N})"};
constexpr std::array<std::string_view, 3> kFalconPatterns{R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, R"([0-9][0-9][0-9])"};
constexpr std::array<std::string_view, 4> kDefaultPatterns{R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", R"([0-9][0-9][0-9])"};

constexpr std::array<std::string_view, 5> kGpt2Names{"gpt-2", "phi-2", "mpt", "olmo", "exaone4"};
constexpr std::array<std::string_view, 8> kLlama3Names{"llama-bpe", "llama3",  "llama-v3", "falcon3",
                                                       "falcon-h1", "pixtral", "midm-2.0", "lfm2"};
constexpr std::array<std::string_view, 4> kLikeLlama3Names{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"};
constexpr std::array<std::string_view, 6> kQwen2Names{"qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "grok-2"};
constexpr std::array<std::string_view, 1> kQwen35Names{"qwen35"};
constexpr std::array<std::string_view, 1> kTekkenNames{"tekken"};
constexpr std::array<std::string_view, 2> kO200kNames{"gpt-4o", "llama4"};
constexpr std::array<std::string_view, 7> kDigitsNames{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"};
constexpr std::array<std::string_view, 2> kDeepseek3Names{"deepseek-v3", "hunyuan-dense"};
constexpr std::array<std::string_view, 1> kDeepseekCoderNames{"deepseek-coder"};
constexpr std::array<std::string_view, 1> kFalconNames{"falcon"};
constexpr std::array<std::string_view, 1> kDefaultNames{"default"};

// The names and what llama.cpp makes of them (its vocabulary at 00ad355e).
constexpr std::array kPreTokenizers{
    GgufPreTokenizer{kGpt2Names, kGpt2Patterns},           GgufPreTokenizer{kLlama3Names, kLlama3Patterns, true, true},
    GgufPreTokenizer{kLikeLlama3Names, kLlama3Patterns},   GgufPreTokenizer{kQwen2Names, kQwen2Patterns},
    GgufPreTokenizer{kQwen35Names, kQwen35Patterns},       GgufPreTokenizer{kTekkenNames, kTekkenPatterns, true, true},
    GgufPreTokenizer{kO200kNames, kO200kPatterns},         GgufPreTokenizer{kDigitsNames, kDigitsPatterns},
    GgufPreTokenizer{kDeepseek3Names, kDeepseek3Patterns}, GgufPreTokenizer{kDeepseekCoderNames, kDeepseekCoderPatterns},
    GgufPreTokenizer{kFalconNames, kFalconPatterns},       GgufPreTokenizer{kDefaultNames, kDefaultPatterns},
};

} // namespace

const GgufPreTokenizer* find_gguf_pre_tokenizer(std::string_view name) {
  for (const GgufPreTokenizer& known : kPreTokenizers)
    if (std::find(known.names.begin(), known.names.end(), name) != known.names.end()) return &known;
  return nullptr;
}

} // namespace plimsoll
