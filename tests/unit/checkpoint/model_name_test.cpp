// The spellings of a model of the hub, and what is none.
#include "checkpoint/model_name.hpp"

#include <gtest/gtest.h>
#include <ostream>

namespace plimsoll {
namespace {

struct Spelling {
  const char *typed, *text, *file; // `text` as ModelName::text() has it
  bool is_address;
};

void PrintTo(const Spelling& row, std::ostream* out) { *out << row.typed; }

class Spellings : public testing::TestWithParam<Spelling> {};

TEST_P(Spellings, AreTakenApart) {
  const Spelling& row = GetParam();
  const auto name = parse_model_name(row.typed);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->text(), row.text);
  EXPECT_EQ(name->file, row.file);
  EXPECT_EQ(name->is_address, row.is_address);
  const auto again = parse_model_name(name->text());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->text(), row.text);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Spellings,
    testing::Values(Spelling{"Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "", false}, Spelling{"gpt2", "gpt2", "", false},
                    Spelling{"Qwen/Qwen3-8B@main", "Qwen/Qwen3-8B", "", false},
                    Spelling{"Qwen/Qwen3-8B@v1.0", "Qwen/Qwen3-8B@v1.0", "", false},
                    Spelling{"unsloth/Qwen3-8B-GGUF:Q4_K_M", "unsloth/Qwen3-8B-GGUF:Q4_K_M", "", false},
                    Spelling{"hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", "unsloth/Qwen3-8B-GGUF:Q4_K_M", "", true},
                    Spelling{"hf://Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "", true},
                    Spelling{"hf://models/Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "", true},
                    Spelling{"hf://Qwen/Qwen3-8B@abc123", "Qwen/Qwen3-8B@abc123", "", true},
                    Spelling{"https://huggingface.co/Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "", true},
                    Spelling{"HTTP://www.HuggingFace.co/Qwen/Qwen3-8B/", "Qwen/Qwen3-8B", "", true},
                    Spelling{"huggingface.co/Qwen/Qwen3-8B?library=vllm#usage", "Qwen/Qwen3-8B", "", true},
                    Spelling{"https://huggingface.co/gpt2", "gpt2", "", true},
                    Spelling{"https://huggingface.co/Qwen/Qwen3-8B/tree/main", "Qwen/Qwen3-8B", "", true},
                    Spelling{"https://huggingface.co/Qwen/Qwen3-8B/tree/dev/sub", "Qwen/Qwen3-8B@dev", "sub", true},
                    Spelling{"https://huggingface.co/Qwen/Qwen3-8B/blob/main/config.json", "Qwen/Qwen3-8B", "config.json", true},
                    Spelling{"https://huggingface.co/a/b/resolve/main/q/b-Q8_0.gguf?download=true", "a/b", "q/b-Q8_0.gguf", true},
                    Spelling{"https://huggingface.co/Qwen/Qwen3-8B/discussions", "Qwen/Qwen3-8B", "", true}));

TEST(ModelName, WhatIsNoneOfThemIsNothing) {
  for (const char* text : {"",
                           "/",
                           "a/",
                           "/a",
                           "a/b/c",
                           "a//b",
                           "../x",
                           "a/..",
                           "a/.b",
                           ".a/b",
                           "a b/c",
                           "a/b:",
                           "a/b@",
                           "a/b:x/y",
                           "a/b@x:y@z",
                           "https://example.com/a/b",
                           "https://huggingface.co/",
                           "https://huggingface.co//b",
                           "hf://",
                           "hf.co/hf.co/name",
                           "hf://huggingface.co/name",
                           "hf.co/a/b/tree/../..",
                           "hf.co/a/b/blob/main/../../etc/passwd",
                           "hf.co/a/b/blob/main//etc/passwd",
                           "hf.co/a/b/blob/a%2Fb/c",
                           "hf.co/a/b/discussions/7",
                           "a/b\n",
                           "a/b\x80"})
    EXPECT_FALSE(parse_model_name(text)) << text;
  EXPECT_FALSE(parse_model_name(std::string(10'000, 'a')));
  EXPECT_FALSE(parse_model_name(std::string("a/b\0c", 5)));
}

} // namespace
} // namespace plimsoll
