// Tokenizers: any bytes are a vocabulary whose texts come back as tokens and text, or an error with a message.
#include <cstdlib>
#include <string>

#include "fuzz/fuzz.hpp"
#include "plimsoll/tokenizer.hpp"
#include "support/sparse_checkpoint.hpp"
#include "tokenizer/gguf_vocabulary.hpp"
#include "tokenizer/sentencepiece_model.hpp"
#include "tokenizer/tokenizer_json.hpp"

namespace plimsoll::fuzz {
namespace {

constexpr std::uint32_t kVocabSize = 400;

void check(const Error& error) {
  if (error.message.empty() || error.where.empty()) std::abort();
}

// Whatever the vocabulary is: ids are the model's, and a stream says what a whole text says.
void use(VocabularyParts parts, std::string_view input) {
  const VocabularyTokenizer tokenizer("f", kVocabSize, std::move(parts), {});
  const std::string tail(input.substr(input.size() - std::min<std::size_t>(64, input.size())));
  for (const std::string& text : {std::string(), std::string("ab <x> 12\n\n  e\u0301'S \xff"), tail, std::string(3000, 'a')}) {
    const auto ids = tokenizer.encode(text);
    if (!ids) {
      if (ids.error().message.empty()) std::abort();
      continue;
    }
    TextStream stream(tokenizer);
    std::string streamed;
    for (const Token id : *ids) streamed += stream.push(id).value();
    streamed += stream.finish();
    if (streamed != tokenizer.decode(*ids).value()) std::abort();
  }
}

void gguf(std::string_view input) {
  static const test::TemporaryDirectory folder;
  const std::string path = folder / "m.gguf";
  test::write_text(path, input);
  const auto file = RegularFile::open(path);
  if (!file) std::abort();
  auto read = read_gguf_tokenizer(*file, kVocabSize);
  if (read) use(std::move(read->parts), input);
  else check(read.error());
}

std::string json_seed(std::string_view steps, std::string_view model) {
  return std::string(
             R"({"added_tokens":[{"id":300,"content":"<x>","special":true,"normalized":false,"rstrip":true},{"id":301,"content":"ab","normalized":true}],)")
      .append(steps)
      .append(R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"\u0120":3,"\u0120a":4,"<0x0A>":5,"<unk>":6,"\u2581":7},)")
      .append(model)
      .append("}}");
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  out.push_back(json_seed(
      R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Prepend","prepend":"\u2581"},{"type":"Replace","pattern":{"String":" "},"content":"\u2581"},{"type":"Strip"}]},
    "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},)",
      R"("byte_fallback":true,"fuse_unk":true,"unk_token":"<unk>","merges":["a b"])"));
  out.push_back(json_seed(
      R"re("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s)|\\p{L}+|\\s+(?!\\S)|(?:a|b)*c"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}]},
    "decoder":{"type":"ByteLevel"},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},{"Sequence":{"id":"A"}}],"special_tokens":{"x":{"ids":[300]}}},)re",
      R"("ignore_merges":true,"merges":[["a","b"],["\u0120","a"]])"));
  out.push_back(json_seed(
      R"("pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"first"},"decoder":{"type":"Metaspace","replacement":"\u2581"},)",
      R"("unk_token":"<unk>","merges":[])"));
  std::string scores = test::little_endian(9, 4) + test::little_endian(6, 4) + test::little_endian(6, 8);
  for (int i = 0; i < 6; ++i) scores += test::little_endian(0xc0000000U + static_cast<unsigned>(i) * 0x400000U, 4);
  test::GgufWriter scored, merged;
  scored.text("general.architecture", "llama")
      .text("tokenizer.ggml.model", "llama")
      .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a", "b", "ab"});
  scored.raw("tokenizer.ggml.scores", scores).u32s("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1}).u32("tokenizer.ggml.bos_token_id", 1);
  merged.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", "llama-bpe")
      .texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<x>"});
  merged.texts("tokenizer.ggml.merges", {"a b"})
      .u32s("tokenizer.ggml.token_type", {1, 1, 1, 3})
      .flag("tokenizer.ggml.add_bos_token", false);
  out.push_back(scored.start());
  out.push_back(merged.start());
  // A tokenizer.model: pieces <unk>, a, b, ab; BPE; nothing normalized.
  out.push_back(std::string("\x0a\x09\x0a\x05<unk>\x18\x02\x0a\x03\x0a\x01"
                            "a\x0a\x03\x0a\x01"
                            "b\x0a\x09\x0a\x02"
                            "ab\x15\x00\x00\x80\xbf\x12\x02\x18\x02\x1a\x02\x20\x00",
                            40));
  return out;
}

void fuzz_one(std::string_view input) {
  if (input.starts_with("GGUF")) return gguf(input);
  auto json = parse_tokenizer_json(std::string(input), "f", kVocabSize);
  if (json) use(std::move(*json), input);
  else check(json.error());
  auto model = parse_sentencepiece_model(input, "f", kVocabSize);
  if (model) use(std::move(model->parts), input);
  else check(model.error());
}

} // namespace plimsoll::fuzz
